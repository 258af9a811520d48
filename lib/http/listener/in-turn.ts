import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** So many requests of a connection may wait for their turn; what comes behind them is not read. */
const MAX_WAITING = 100

const waiting = new WeakMap<Socket, number>()
const befores = new WeakMap<IncomingMessage, ServerResponse>()

/**
 * Begins a request that came before the last one of its connection was answered, once that is: it may
 * rely on what that one does (RFC 9112, 9.3.2). It never begins where the connection has ended by then.
 */
export function beginInTurn(req: IncomingMessage, before: ServerResponse, begin: () => void): void {
  const { socket } = req
  const count = 1 + (waiting.get(socket) ?? 0)
  waiting.set(socket, count)
  // Node.js reads on when a request is whole: behind that.
  if (count >= MAX_WAITING) process.nextTick(pauseFull, socket)
  befores.set(req, before)
  before.once('close', () => {
    befores.delete(req)
    const left = waiting.get(socket)! - 1
    waiting.set(socket, left)
    if (!socket.writable) return
    if (left === MAX_WAITING - 1) socket.resume()
    begin()
  })
}

function pauseFull(socket: Socket): void {
  if (waiting.get(socket)! >= MAX_WAITING) socket.pause()
}

/** The answer that a request waits for; undefined where it has begun. */
export function answerBefore(req: IncomingMessage): ServerResponse | undefined {
  return befores.get(req)
}
