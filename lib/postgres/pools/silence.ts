import type { Connection } from './connection.ts'

/** How much longer than STATEMENT_TIMEOUT_SECS an answer may be on its way. */
const GRACE_MS = 5000

/** How often a connection is looked at in the time after which it is cut. */
const LOOKS = 5

/** What was seen of a connection whose answer is waited for. */
interface Seen {
  bytesRead: number
  silentLooks: number
}

/**
 * Cuts connections on which an answer is waited for and nothing comes for longer than any statement
 * may run: their queries fail with ETIMEDOUT. A server whose machine or network is gone does not say
 * so, and PostgreSQL's own limit is of no use then. One timer looks at all connections for calls.
 * @returns ends it
 */
export function cutSilentSessions(
  connections: () => Iterable<Connection>,
  statementTimeoutMs: number,
): () => void {
  const limitMs = statementTimeoutMs + GRACE_MS
  const seen = new WeakMap<Connection, Seen>()
  const timer = setInterval(() => {
    for (const connection of connections()) {
      if (connection.isWaiting) look(connection, seen, limitMs)
      else seen.delete(connection)
    }
  }, limitMs / LOOKS).unref()
  return () => clearInterval(timer)
}

/**
 * The same for one connection of the driver, which does not tell whether an answer is waited for:
 * until the function that is returned is called.
 */
export function cutWhenSilent(connection: Connection): () => void {
  const limitMs = connection.statementTimeoutMs + GRACE_MS
  const seen = new WeakMap<Connection, Seen>()
  look(connection, seen, limitMs)
  const timer = setInterval(() => look(connection, seen, limitMs), limitMs / LOOKS)
  return () => clearInterval(timer)
}

function look(connection: Connection, seen: WeakMap<Connection, Seen>, limitMs: number): void {
  const { bytesRead } = connection
  const before = seen.get(connection)
  if (!before || before.bytesRead !== bytesRead) {
    seen.set(connection, { bytesRead, silentLooks: 0 })
    return
  }
  before.silentLooks++
  if (before.silentLooks >= LOOKS) connection.destroy(silent(limitMs))
}

function silent(limitMs: number): Error {
  const message = `PostgreSQL said nothing for ${limitMs / 1000} s`
  return Object.assign(new Error(message), { code: 'ETIMEDOUT' })
}
