/** What entries of the audit may be; lib/pages/console-page.ts writes it. */
declare module 'audit/choices' {
  export const ACTIONS: string[]
  export const OUTCOMES: string[]
}
