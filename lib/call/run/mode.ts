import type { Connection } from '../../postgres/pools/connection.ts'
import type { Session } from '../../postgres/session/session.ts'

/**
 * How calls use a session. `shared`: read-only transactions, pipelined calls, never cancelled.
 * `exclusive`, the initial mode: one call at a time.
 */
export type Mode = 'shared' | 'exclusive'

/** statement_timeout of a shared session, in milliseconds. */
const SHARED_TIMEOUT_MS = 50

const ENTER: Record<Mode, string> = {
  shared: `set default_transaction_read_only = on; set statement_timeout = ${SHARED_TIMEOUT_MS}`,
  // The server's current defaults: it may have become read-only meanwhile.
  exclusive: 'reset default_transaction_read_only; reset statement_timeout',
}

/** A switch of mode in progress. */
export interface ModeSwitch {
  /**
   * True: the switch failed. The mode is unknown, and the connection closes when it is released.
   */
  hasFailed: boolean
  settled: Promise<void>
}

/**
 * Switches the mode of a session. The switch goes out in the same write as the call behind it.
 * Returns undefined if the session is in that mode already.
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
