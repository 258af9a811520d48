import { subscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'

/** Connections that fetch has open, each with what it waits for. */
const connections = new Map<Socket, object | undefined>()
const socketOf = new WeakMap<object, Socket>()

// What undici, the fetch of Node.js, tells of its connections.
subscribe('undici:client:connected', (message) => {
  const { socket } = message as { socket: Socket }
  connections.set(socket, undefined)
  socket.once('close', () => connections.delete(socket))
})
subscribe('undici:client:sendHeaders', (message) => {
  const { request, socket } = message as { request: object; socket: Socket }
  if (!connections.has(socket)) return
  connections.set(socket, request)
  socketOf.set(request, socket)
})
for (const end of ['undici:request:trailers', 'undici:request:error']) {
  subscribe(end, (message) => {
    const { request } = message as { request: object }
    const socket = socketOf.get(request)
    if (socket && connections.get(socket) === request) connections.set(socket, undefined)
  })
}

/**
 * Closes the connections of fetch to a gateway of this process that have had all their answers, as a
 * client that goes away does. A gateway that stops keeps quiet connections open for a second.
 */
export function closeIdleConnections(url: string): void {
  const port = Number(new URL(url).port)
  for (const [socket, request] of connections) {
    if (socket.remotePort === port && request === undefined) socket.destroy()
  }
}
