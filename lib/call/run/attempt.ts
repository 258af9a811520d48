import type { GatewayError } from '../../errors.ts'
import type { Rows } from './result.ts'

/** Milliseconds that the call waited for a connection, and that PostgreSQL took to answer. */
export interface Timing {
  waitMs: number
  queryMs: number
}

/** An answer that is kept under an Idempotency-Key. */
export interface Kept {
  /** Milliseconds from the first request to its answer. */
  tookMs: number
  /** The answer was kept before this request, which has run nothing. */
  isReplay: boolean
}

/** The rows of a call and its timing. */
export interface CallResult extends Rows, Timing {
  /** Undefined for a call without an Idempotency-Key. */
  kept?: Kept | undefined
}

/** The places where a call may run, in the order in which they are tried. */
export type Place = 'replica' | 'shared' | 'exclusive'

/** Outcome of one attempt to run a call. */
export type Outcome =
  | { kind: 'rows'; result: CallResult }
  /** PostgreSQL refused the statement before it ran, because the cached signature may be stale. */
  | { kind: 'stale'; error: GatewayError }
  /** The call has no effect: it did not begin, or a read-only session rolled it back. */
  | { kind: 'not begun'; error: unknown }
  /**
   * PostgreSQL terminated the session while the call ran, and rolled the call back. `isRetired`: a
   * deploy terminated the session.
   */
  | { kind: 'rolled back'; error: unknown; isRetired: boolean }
  /** The connection was lost while the call may have been running. */
  | { kind: 'lost'; error: unknown }
  /** The caller gets the error. */
  | { kind: 'refused'; error: unknown }

export type OutcomeKind = Outcome['kind']
