import type { Socket } from 'node:net'
import { ERROR_RESPONSE } from './protocol.ts'
import { readServerError, type ServerError } from './server-error.ts'

/** What the server has said before it closed is there already, and is read at once; in milliseconds. */
const READ_MS = 5000

/**
 * Has queries of postgres.js fail with what PostgreSQL said when it ended the session, rather than
 * with CONNECTION_CLOSED or EPIPE: the driver forgets an error behind which no ReadyForQuery comes, and
 * a stream of Node.js gives nothing more once a write has failed, so that such a failure waits until
 * all is read. To be called when the driver reads the socket.
 */
export function passLastWords(socket: Socket): void {
  let failed: Error | undefined
  socket.on('data', (chunk: Buffer) => {
    const said = lastWordsIn(chunk)
    // Behind the driver's own listener.
    if (said) process.nextTick(() => socket.destroy(said))
  })
  const fail = (error: Error) => {
    if (failed) return
    failed = error
    socket.once('end', () => socket.destroy(error))
    // A busy event loop comes to its timers before it reads.
    setTimeout(() => setImmediate(() => socket.destroy(error)), READ_MS).unref()
  }
  const whenDone = (done: Done) => (error?: Error | null) => (error ? fail(error) : done(error))
  const { _write: write, _writev: writev } = socket
  socket._write = (chunk, encoding, done) => write.call(socket, chunk, encoding, whenDone(done))
  if (writev) socket._writev = (chunks, done) => writev.call(socket, chunks, whenDone(done))
}

type Done = (error?: Error | null) => void

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
