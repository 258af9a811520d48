/** Treatment of a session after a call, so that the next call finds nothing left of it. */
export type Afterwards =
  /** Nothing: no code that the function reaches can change its session. */
  | 'keep'
  /** Reset the session. */
  | 'reset'
  /** Close the connection: a reset does not undo all that may be left. */
  | 'close'

/** Verdict on a function, from all code that it can reach. */
export interface Verdict {
  /** True: it only reads, so it can run in a read-only transaction and be repeated. */
  reads: boolean
  /**
   * True: it may behave differently in a shared session. It catches query_canceled (57014),
   * read_only_sql_transaction (25006) or all errors, or reads a setting that has another value
   * there.
   */
  handles: boolean
  afterwards: Afterwards
  /**
   * True: it may change how values are written, even if only for its transaction: TimeZone,
   * bytea_output, …
   */
  altersFormats: boolean
  /** True: as a procedure, it may commit before it ends. */
  commits: boolean
}

/**
 * Returns the verdict on a function that may do anything: dynamic SQL, another language, a body
 * that does not parse.
 */
export function noVerdict(afterwards: Afterwards): Verdict {
  return { reads: false, handles: true, afterwards, altersFormats: true, commits: true }
}

/** Returns whether the effects of the function are known, unlike those of `noVerdict`. */
export function hasVerdict({ handles, altersFormats }: Verdict): boolean {
  return !(handles && altersFormats)
}
