import type { Socket } from 'node:net'
import type { Greeting } from './log-in.ts'

/**
 * Makes a socket that is logged in one that postgres.js takes for new: what the driver writes first,
 * its own start-up message, goes nowhere, and what it reads first is the greeting of the server.
 */
export function handOver(socket: Socket, greeting: Greeting): void {
  socket.unshift(greeting.bytes)
  skipStartupMessage(socket)
}

/** The start-up message has no type; its length comes first, and maybe a query behind it. */
function skipStartupMessage(socket: Socket): void {
  const { write } = socket
  socket.write = (chunk: Uint8Array | string, ...more: unknown[]): boolean => {
    socket.write = write
    const bytes = chunk as Buffer
    const behind = bytes.subarray(bytes.readInt32BE(0))
    if (behind.length === 0) return true
    return socket.write(behind, ...(more as []))
  }
}
