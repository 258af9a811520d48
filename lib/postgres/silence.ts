import type { Connection } from './connection.ts'

/** How much longer than STATEMENT_TIMEOUT_SECS an answer may be on its way. */
const GRACE_MS = 5000

/** How often it is looked, in the time after which a connection is cut. */
const LOOKS = 5

/**
 * Cuts the connection when nothing comes on it for longer than any statement may run, until the
 * function that is returned is called: its queries fail with ETIMEDOUT then. A server whose machine
 * or network is gone does not say so, and PostgreSQL's own limit is of no use then. Who lets a server
 * wait for the client ends it meanwhile.
 */
export function cutWhenSilent(connection: Connection): () => void {
  const limitMs = connection.statementTimeoutMs + GRACE_MS
  let bytesRead = connection.bytesRead
  let silentLooks = 0
  const timer = setInterval(() => {
    silentLooks = connection.bytesRead === bytesRead ? silentLooks + 1 : 0
    bytesRead = connection.bytesRead
    if (silentLooks >= LOOKS) connection.destroy(silent(limitMs))
  }, limitMs / LOOKS)
  return () => clearInterval(timer)
}

function silent(limitMs: number): Error {
  const message = `PostgreSQL said nothing for ${limitMs / 1000} s`
  return Object.assign(new Error(message), { code: 'ETIMEDOUT' })
}
