import type { Socket } from 'node:net'
import { joinWrites } from './joined-writes.ts'
import { passLastWords } from './last-words.ts'
import type { Greeting } from './log-in.ts'

/** An empty query; and its answer, EmptyQueryResponse and ReadyForQuery outside a transaction. */
const EMPTY_QUERY = Buffer.from([0x51, 0, 0, 0, 5, 0])
const EMPTY_ANSWER = Buffer.from([0x49, 0, 0, 0, 4, 0x5a, 0, 0, 0, 5, 0x49])

/**
 * Makes a logged-in socket look new to postgres.js. The startup packet that the driver writes first
 * is discarded, and the driver first reads the greeting of the server.
 * postgres.js sends no second query before its first one is answered. The first is an empty query
 * that is answered here, which saves a round trip.
 */
export function handOver(socket: Socket, greeting: Greeting): void {
  joinWrites(socket)
  const { write } = socket
  let isGreeted = false
  socket.write = (chunk: Uint8Array | string, ...more: unknown[]): boolean => {
    const bytes = chunk as Buffer
    // A startup packet has no type byte; it begins with its length.
    const behind = isGreeted ? bytes : bytes.subarray(bytes.readInt32BE(0))
    if (!isGreeted) passLastWords(socket)
    isGreeted = true
    if (behind.length === 0) return true
    socket.write = write
    if (behind.subarray(0, EMPTY_QUERY.length).compare(EMPTY_QUERY) !== 0) {
      return socket.write(behind, ...(more as []))
    }
    const rest = behind.subarray(EMPTY_QUERY.length)
    // Not synchronously: the driver clears its write buffer after this write returns.
    queueMicrotask(() => socket.unshift(EMPTY_ANSWER))
    return rest.length === 0 || socket.write(rest, ...(more as []))
  }
  socket.unshift(greeting.bytes)
}
