/** What has to become of a session after a call, so that the next one finds nothing of it. */
export type Afterwards =
  /** It is as it was: nothing that the function can reach is able to change its session. */
  | 'keep'
  /** The session is reset. */
  | 'reset'
  /** The connection is closed: a reset does not reach all that may be left. */
  | 'close'

/** What is known of the calls of a function, from everything that it can reach. */
export interface Verdict {
  /** It only reads: it runs in a read-only transaction, and again without harm. */
  reads: boolean
  /**
   * It may tell a shared session from another: it swallows query_canceled (57014),
   * read_only_sql_transaction (25006) or all errors, or reads a setting of which such a session has
   * a value of its own.
   */
  handles: boolean
  afterwards: Afterwards
  /** It may change how values are written, for its transaction too: TimeZone, bytea_output, … */
  altersFormats: boolean
  /** As a procedure, it may commit what it has done before it ends. */
  commits: boolean
}

/** Of a function that may do anything: dynamic SQL, another language, a body that does not parse. */
export function noVerdict(afterwards: Afterwards): Verdict {
  return { reads: false, handles: true, afterwards, altersFormats: true, commits: true }
}

/** Whether it is known what the function may do: see `noVerdict`. */
export function hasVerdict({ handles, altersFormats }: Verdict): boolean {
  return !(handles && altersFormats)
}
