import type { Socket } from 'node:net'

/**
 * Joins the writes to the socket until the next tick. postgres.js writes each query of more than
 * 1 KiB separately, and each write is a system call that wakes PostgreSQL.
 */
export function joinWrites(socket: Socket): void {
  const { write, end } = socket
  let pending: Uint8Array[] = []
  const flush = () => {
    if (pending.length === 0) return
    const bytes = pending.length === 1 ? pending[0]! : Buffer.concat(pending)
    pending = []
    write.call(socket, bytes)
  }
  socket.write = (chunk: Uint8Array | string, ...more: unknown[]): boolean => {
    const isPlain = typeof chunk !== 'string' && more.every((one) => one === undefined)
    if (!isPlain) {
      flush()
      return write.call(socket, chunk, ...(more as []))
    }
    if (pending.length === 0) process.nextTick(flush)
    pending.push(chunk)
    return !socket.writableNeedDrain
  }
  socket.end = ((...last: unknown[]) => {
    flush()
    return end.apply(socket, last as never)
  }) as Socket['end']
}
