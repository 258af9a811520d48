/** What one look has found. */
export interface Check {
  /** What was looked at, in a word or two. */
  name: string
  /** `error`: the gateway does not start or does not work. */
  status: 'ok' | 'warning' | 'error'
  message: string
  /** What to do. */
  advice?: string
}

export function ok(name: string, message: string): Check {
  return { name, status: 'ok', message }
}

export function warning(name: string, message: string, advice: string): Check {
  return { name, status: 'warning', message, advice }
}

export function failed(name: string, message: string, advice: string): Check {
  return { name, status: 'error', message, advice }
}
