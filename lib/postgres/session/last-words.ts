import type { Socket } from 'node:net'
import { ERROR_RESPONSE } from './protocol.ts'
import { readServerError, type ServerError } from './server-error.ts'

/** What the server has said before it closed is there already, and is read at once; in milliseconds. */
const READ_MS = 5000

/**
 * Has queries of postgres.js fail with what PostgreSQL said when it ended the session, rather than
 * with CONNECTION_CLOSED or EPIPE: the driver forgets an error behind which no ReadyForQuery comes, and
 * Node.js reads nothing more once a write has failed. To be called when the driver reads the socket.
 */
export function passLastWords(socket: Socket): void {
  const { destroy } = socket
  let failed: Error | undefined
  const end = (error?: Error): Socket => {
    socket.destroy = destroy
    return socket.destroy(error)
  }
  socket.on('data', (chunk: Buffer) => {
    const said = lastWordsIn(chunk)
    // Behind the driver's own listener.
    if (said) process.nextTick(() => end(said))
  })
  socket.destroy = (error?: Error): Socket => {
    const isWrite = (error as NodeJS.ErrnoException | undefined)?.syscall === 'write'
    if (!isWrite) return end(error)
    if (failed) return socket
    failed = error
    socket.once('end', () => end(failed))
    // A busy event loop comes to its timers before it reads.
    setTimeout(() => setImmediate(() => end(failed)), READ_MS).unref()
    return socket
  }
}

const FATAL = /^(?:FATAL|PANIC)$/

/** The error with which the server ends a session: the last message of all. */
function lastWordsIn(chunk: Buffer): ServerError | undefined {
  // As all errors do, and no ReadyForQuery.
  if (chunk.at(-1) !== 0) return undefined
  let at = chunk.lastIndexOf(ERROR_RESPONSE)
  for (; at >= 0; at = at === 0 ? -1 : chunk.lastIndexOf(ERROR_RESPONSE, at - 1)) {
    const isLast = at + 5 < chunk.length && at + 1 + chunk.readInt32BE(at + 1) === chunk.length
    if (!isLast) continue
    try {
      const error = readServerError(chunk, at + 5, chunk.length)
      return FATAL.test(error.severity) ? error : undefined
    } catch {
      // It was the letter E of something else.
    }
  }
  return undefined
}
