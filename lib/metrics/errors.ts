/** Counts the errors that requests were answered with, by code. */
export class ErrorCounter {
  /** Codes are those of lib/errors.ts, so their number is bounded. */
  readonly byCode = new Map<string, number>()
  /** Called where a request could not connect to a database. */
  onUnreachable: ((database: string) => void) | undefined

  note(code: string, database: string | undefined): void {
    this.byCode.set(code, (this.byCode.get(code) ?? 0) + 1)
    if (code === 'connection_failed' && database !== undefined) this.onUnreachable?.(database)
  }
}
