import type { GatewayError } from '../../errors.ts'
import type { Rows } from './result.ts'

/** Milliseconds, for a connection and for PostgreSQL's answer. */
export interface Timing {
  waitMs: number
  queryMs: number
}

/** The rows of a call, and how long it took to get them. */
export interface CallResult extends Rows, Timing {}

/** Where a call may run, in the order in which the places are tried. */
export type Place = 'replica' | 'shared' | 'exclusive'

/** What an attempt to run a call came to. */
export type Outcome =
  | { kind: 'rows'; result: CallResult }
  /** PostgreSQL refused the statement before it ran: what is known of the function is not so. */
  | { kind: 'stale'; error: GatewayError }
  /** Nothing of it is left: it did not begin, or was rolled back in a read-only session. */
  | { kind: 'not begun'; error: unknown }
  /** PostgreSQL ended the session while it ran, and rolled it back; `isRetired`: for a deploy. */
  | { kind: 'rolled back'; error: unknown; isRetired: boolean }
  /** The connection was lost while it may have run. */
  | { kind: 'lost'; error: unknown }
  /** The caller is told the error. */
  | { kind: 'refused'; error: unknown }

export type OutcomeKind = Outcome['kind']
