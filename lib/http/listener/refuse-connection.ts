import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { type GatewayError, retryAfter } from '../../errors.ts'
import type { Log } from '../../log.ts'

/**
 * Time for which further input is read and discarded after an error. Closing a socket with unread
 * input sends a reset, which may discard the answer at the client.
 */
const LINGER_MS = 1000

const refused = new WeakSet<Socket>()

/** Writes an error to a connection that has no request to answer, and closes it. */
export function refuseConnection(socket: Socket, error: GatewayError, log: Log): void {
  if (refused.has(socket)) return
  refused.add(socket)
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const id = randomUUID()
  socket.on('error', () => {})
  socket.end(rawAnswer(error, id))
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(timer))
  log.request({
    method: '-',
    path: '-',
    status: error.status,
    ms: 0,
    address: socket.remoteAddress,
    request_id: id,
    error: error.code,
  })
}

function rawAnswer(error: GatewayError, id: string): string {
  const body = JSON.stringify(error)
  const retry = retryAfter(error)
  const head = [
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${id}`,
    ...(retry ? [`retry-after: ${retry}`] : []),
    ...(error.status === 405 ? ['allow: GET, POST, HEAD, OPTIONS'] : []),
    'connection: close',
  ]
  return `${head.join('\r\n')}\r\n\r\n${body}`
}
