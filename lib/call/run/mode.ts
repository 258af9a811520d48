import type { Connection } from '../../postgres/pools/connection.ts'
import type { Session } from '../../postgres/session/session.ts'

/**
 * How calls use a session. `shared`: read-only by PostgreSQL, pipelined, never cancelled. `exclusive`,
 * in which sessions begin: one call at a time.
 */
export type Mode = 'shared' | 'exclusive'

/** How long PostgreSQL lets a statement of a shared session run. */
const SHARED_TIMEOUT_MS = 50

const ENTER: Record<Mode, string> = {
  shared: `set default_transaction_read_only = on; set statement_timeout = ${SHARED_TIMEOUT_MS}`,
  // What the server says by now: it may have been made read-only meanwhile.
  exclusive: 'reset default_transaction_read_only; reset statement_timeout',
}

/** A mode that is being switched. */
export interface ModeSwitch {
  /** It failed: the mode is not known, and the connection is closed when it is given back. */
  hasFailed: boolean
  settled: Promise<void>
}

/**
 * Switches the mode of a session in the same write as the call behind it; undefined where the
 * session is in that mode.
 */
export function enterMode(
  connection: Connection,
  session: Session,
  mode: Mode,
): ModeSwitch | undefined {
  if (connection.mode === mode) return undefined
  connection.mode = mode
  const entered: ModeSwitch = {
    hasFailed: false,
    settled: session.simple(ENTER[mode]).then(
      () => {},
      () => {
        entered.hasFailed = true
        connection.isSpent = true
      },
    ),
  }
  return entered
}
