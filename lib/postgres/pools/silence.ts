import type { Connection } from './connection.ts'

/** Time beyond STATEMENT_TIMEOUT_SECS after which a missing answer means a dead connection. */
const GRACE_MS = 5000

/** Number of checks within that time. */
const LOOKS = 5

/** State of a connection at its last check. */
interface Seen {
  bytesRead: number
  silentLooks: number
  /** `performance.now()` of the first look since its last byte. */
  since: number
}

/**
 * Closes call connections that wait for an answer and receive nothing for longer than a statement
 * may run; their queries fail with ETIMEDOUT. A host or network that is gone sends no FIN, and
 * statement_timeout does not help then. One timer checks all connections, each by the timeout that it
 * was opened with.
 * @param statementTimeoutMs of most of them, from which the interval of the checks follows
 * @returns function that stops the checks
 */
export function cutSilentSessions(
  connections: () => Iterable<Connection>,
  statementTimeoutMs: number,
): () => void {
  const everyMs = (statementTimeoutMs + GRACE_MS) / LOOKS
  const seen = new WeakMap<Connection, Seen>()
  const timer = setInterval(() => {
    for (const connection of connections()) {
      if (connection.isWaiting) look(connection, seen, everyMs)
      else seen.delete(connection)
    }
  }, everyMs).unref()
  return () => clearInterval(timer)
}

/**
 * Does the same for one `sql` connection. The driver does not tell whether it waits for an answer.
 * @returns function that stops the checks
 */
export function cutWhenSilent(connection: Connection): () => void {
  const everyMs = (connection.statementTimeoutMs + GRACE_MS) / LOOKS
  const seen = new WeakMap<Connection, Seen>()
  look(connection, seen, everyMs)
  const timer = setInterval(() => look(connection, seen, everyMs), everyMs)
  return () => clearInterval(timer)
}

function look(connection: Connection, seen: WeakMap<Connection, Seen>, everyMs: number): void {
  const { bytesRead } = connection
  const now = performance.now()
  const before = seen.get(connection)
  if (!before || before.bytesRead !== bytesRead) {
    seen.set(connection, { bytesRead, silentLooks: 0, since: now })
    return
  }
  before.silentLooks++
  const limitMs = connection.statementTimeoutMs + GRACE_MS
  // Half an interval less: timers are not exact.
  const isOver = now - before.since >= limitMs - everyMs / 2
  if (before.silentLooks >= LOOKS && isOver) connection.destroy(silent(limitMs))
}

function silent(limitMs: number): Error {
  const message = `PostgreSQL sent nothing for ${limitMs / 1000} s`
  return Object.assign(new Error(message), { code: 'ETIMEDOUT' })
}
