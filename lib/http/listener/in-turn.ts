import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Maximum number of requests of a connection that wait for their turn; no more are read. */
const MAX_WAITING = 100

const waiting = new WeakMap<Socket, number>()
const befores = new WeakMap<IncomingMessage, ServerResponse>()

/**
 * Begins a pipelined request when the answer before it is complete: it may depend on the effect of
 * the request before it (RFC 9112, 9.3.2). It never begins if the connection has ended by then.
 */
export function beginInTurn(req: IncomingMessage, before: ServerResponse, begin: () => void): void {
  const { socket } = req
  const count = 1 + (waiting.get(socket) ?? 0)
  waiting.set(socket, count)
  // nextTick: Node.js resumes the socket after a complete request, which would undo the pause.
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

/** Returns the answer that a request waits for; undefined if the request has begun. */
export function answerBefore(req: IncomingMessage): ServerResponse | undefined {
  return befores.get(req)
}
