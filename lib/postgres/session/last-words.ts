import type { Socket } from 'node:net'
import { ERROR_RESPONSE } from './protocol.ts'
import { readServerError, type ServerError } from './server-error.ts'

/** Milliseconds within which the server's last message, which has already arrived, is read. */
const READ_MS = 5000

/**
 * Makes pending queries of postgres.js fail with the FATAL error that ended the session instead of
 * CONNECTION_CLOSED or EPIPE. By itself the driver drops an error that no ReadyForQuery follows.
 * A stream of Node.js reads nothing after a failed write, so the write error is held back until all
 * input is read. Call this when the driver begins to read from the socket.
 */
export function passLastWords(socket: Socket): void {
  let failed: Error | undefined
  socket.on('data', (chunk: Buffer) => {
    const said = lastWordsIn(chunk)
    // Runs after the driver's own listener.
    if (said) process.nextTick(() => socket.destroy(said))
  })
  const fail = (error: Error) => {
    if (failed) return
    failed = error
    socket.once('end', () => socket.destroy(error))
    // setImmediate lets a busy event loop, whose timers come first, read before it gives up.
    setTimeout(() => setImmediate(() => socket.destroy(error)), READ_MS).unref()
  }
  const whenDone = (done: Done) => (error?: Error | null) => (error ? fail(error) : done(error))
  const { _write: write, _writev: writev } = socket
  socket._write = (chunk, encoding, done) => write.call(socket, chunk, encoding, whenDone(done))
  if (writev) socket._writev = (chunks, done) => writev.call(socket, chunks, whenDone(done))
}

type Done = (error?: Error | null) => void

const FATAL = /^(?:FATAL|PANIC)$/

/** Returns the FATAL or PANIC error that ends the chunk, if there is one. */
function lastWordsIn(chunk: Buffer): ServerError | undefined {
  // An ErrorResponse ends with a zero byte; a ReadyForQuery does not.
  if (chunk.at(-1) !== 0) return undefined
  let at = chunk.lastIndexOf(ERROR_RESPONSE)
  for (; at >= 0; at = at === 0 ? -1 : chunk.lastIndexOf(ERROR_RESPONSE, at - 1)) {
    const isLast = at + 5 < chunk.length && at + 1 + chunk.readInt32BE(at + 1) === chunk.length
    if (!isLast) continue
    try {
      const error = readServerError(chunk, at + 5, chunk.length)
      return FATAL.test(error.severity) ? error : undefined
    } catch {
      // This "E" was not the type of a message.
    }
  }
  return undefined
}
