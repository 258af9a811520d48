import type { Socket } from 'node:net'
import { joinWrites } from './joined-writes.ts'
import { passLastWords } from './last-words.ts'
import type { Greeting } from './log-in.ts'

/** An empty query, and its answer: EmptyQueryResponse and ReadyForQuery, outside of a transaction. */
const EMPTY_QUERY = Buffer.from([0x51, 0, 0, 0, 5, 0])
const EMPTY_ANSWER = Buffer.from([0x49, 0, 0, 0, 4, 0x5a, 0, 0, 0, 5, 0x49])

/**
 * Makes a socket that is logged in one that postgres.js takes for new: what the driver writes first,
 * its own start-up message, goes nowhere, and what it reads first is the greeting of the server.
 * postgres.js sends nothing behind its first query before that is answered. That is an empty one, which
 * is answered here: it takes no round trip.
 */
export function handOver(socket: Socket, greeting: Greeting): void {
  joinWrites(socket)
  const { write } = socket
  let isGreeted = false
  socket.write = (chunk: Uint8Array | string, ...more: unknown[]): boolean => {
    const bytes = chunk as Buffer
    // The start-up message has no type; its length comes first.
    const behind = isGreeted ? bytes : bytes.subarray(bytes.readInt32BE(0))
    if (!isGreeted) passLastWords(socket)
    isGreeted = true
    if (behind.length === 0) return true
    socket.write = write
    if (behind.subarray(0, EMPTY_QUERY.length).compare(EMPTY_QUERY) !== 0) {
      return socket.write(behind, ...(more as []))
    }
    const rest = behind.subarray(EMPTY_QUERY.length)
    // Not within the driver's write, at the end of which it forgets what it has to write.
    queueMicrotask(() => socket.unshift(EMPTY_ANSWER))
    return rest.length === 0 || socket.write(rest, ...(more as []))
  }
  socket.unshift(greeting.bytes)
}
