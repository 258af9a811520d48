import type { Connection } from '../../postgres/pools/connection.ts'
import type { Session } from '../../postgres/session/session.ts'
import type { Restrictions } from './time-limit.ts'

/**
 * How calls use a session. `shared`: read-only transactions, pipelined calls, never cancelled.
 * `exclusive`, the initial mode: one call at a time.
 */
export type Mode = 'shared' | 'exclusive'

/** statement_timeout of a shared session, in milliseconds. */
const SHARED_TIMEOUT_MS = 50

/**
 * Returns the SQL that enters a mode. `timeoutMs`: the tenant's limit; undefined: the session's,
 * `sessionMs`, which RESET does not give back behind a pooler.
 */
function enterSql(mode: Mode, timeoutMs: number | undefined, sessionMs: number): string {
  if (mode === 'shared') {
    const shortest = Math.min(SHARED_TIMEOUT_MS, timeoutMs ?? SHARED_TIMEOUT_MS)
    return `set default_transaction_read_only = on; set statement_timeout = ${shortest}`
  }
  // The server's current defaults: it may have become read-only meanwhile.
  return `reset default_transaction_read_only; set statement_timeout = ${timeoutMs ?? sessionMs}`
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
 * Switches the mode of a session, and its statement_timeout to the tenant's limit. The switch goes
 * out in the same write as the call behind it. Returns undefined if the session is in that mode
 * already.
 */
export function enterMode(
  connection: Connection,
  session: Session,
  mode: Mode,
  restrictions?: Restrictions,
): ModeSwitch | undefined {
  const timeoutMs = shorter(restrictions, connection.statementTimeoutMs)
  if (connection.mode === mode && connection.modeTimeoutMs === timeoutMs) return undefined
  connection.mode = mode
  connection.modeTimeoutMs = timeoutMs
  const entered: ModeSwitch = {
    hasFailed: false,
    settled: session.simple(enterSql(mode, timeoutMs, connection.statementTimeoutMs)).then(
      () => {},
      () => {
        entered.hasFailed = true
        connection.isSpent = true
      },
    ),
  }
  return entered
}

/**
 * Returns the tenant's statement timeout; undefined if it has none, or that of the session is not
 * longer.
 */
function shorter(restrictions: Restrictions | undefined, sessionMs: number): number | undefined {
  const ownMs = restrictions?.statementTimeoutMs
  return ownMs && (ownMs < sessionMs || sessionMs === 0) ? ownMs : undefined
}
