import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import { Server as TlsServer } from 'node:https'
import { type Socket, Server as SocketServer } from 'node:net'
import { beginInTurn } from './in-turn.ts'

/** An open connection of a client. */
interface Client {
  socket: Socket
  /** Number of requests whose answers are not complete. */
  running: number
  /** Answer of the last request, until all are complete: a quiet connection keeps no request alive. */
  answer: ServerResponse | undefined
  hasHadRequest: boolean
  bytesRead: number
  /** `performance.now()` of the last input or complete answer. */
  lastSeen: number
}

/**
 * How long a quiet connection stays open, so that a client which has just got an answer can send
 * its next request and get `connection: close` with it.
 */
const QUIET_MS = 1000

const LOOK_EVERY_MS = 50

/**
 * Stops an HTTP server without losing requests, as far as HTTP allows. A request may already be on
 * its way when the server closes an idle connection (RFC 9112, 9.5). So connections in use get
 * `connection: close` with their next answer, after which a client sends nothing more, and only
 * quiet connections are closed.
 */
export class Drain {
  /** Listener for the server: counts requests and starts those of a connection in their order. */
  readonly listener: RequestListener
  readonly #clients = new Map<Socket, Client>()
  /** TLS sockets during the handshake, by addresses and port. */
  readonly #handshakes = new Map<string, Socket>()
  #isAnnounced = false

  constructor(listener: RequestListener) {
    this.listener = (req, res) => {
      const before = this.#begin(req, res)
      if (before) beginInTurn(req, before, () => listener(req, res))
      else listener(req, res)
    }
  }

  /** Starts tracking the server's connections. */
  watch(server: Server | TlsServer): void {
    server.on('connection', (socket: Socket) => this.#add(socket))
    if (!(server instanceof TlsServer)) return
    server.on('connection', (socket: Socket) => {
      const peer = peerOf(socket)
      this.#handshakes.set(peer, socket)
      socket.once('close', () => this.#endHandshake(peer, socket))
    })
    // Requests arrive on the TLS socket above this one, which is not a client any more.
    server.on('secureConnection', (socket: Socket) => {
      const peer = peerOf(socket)
      const below = this.#handshakes.get(peer)
      if (below) {
        this.#endHandshake(peer, below)
        this.#clients.delete(below)
      }
      this.#add(socket)
    })
  }

  /** Number of open connections. */
  get connections(): number {
    return this.#clients.size
  }

  /** Returns the answer of the last request of a connection; undefined if it is complete. */
  answerOf(socket: Socket): ServerResponse | undefined {
    return this.#clients.get(socket)?.answer
  }

  /** Sends `connection: close` with each answer from now on. New connections are accepted. */
  announce(): void {
    if (this.#isAnnounced) return
    this.#isAnnounced = true
    for (const { answer } of this.#clients.values()) {
      if (answer) announceClose(answer)
    }
  }

  /** Stops accepting; resolves when all connections are closed, after `limitMs` by force. */
  async close(server: Server | TlsServer, limitMs: number): Promise<void> {
    this.announce()
    const now = performance.now()
    for (const client of this.#clients.values()) {
      // A connection without a request gets the full quiet time for its first one.
      if (!client.hasHadRequest) client.lastSeen = now
    }
    const look = setInterval(() => {
      // setImmediate: pending input is read first and counts as activity of its connection.
      setImmediate(() => this.#closeQuiet())
    }, LOOK_EVERY_MS)
    const cut = setTimeout(() => {
      server.closeAllConnections()
      // closeAllConnections does not know connections without a request or still in the handshake.
      for (const { socket } of this.#clients.values()) socket.destroy()
    }, limitMs)
    // Not http.Server's close(), which destroys idle connections at once.
    await new Promise<void>((resolve) => SocketServer.prototype.close.call(server, () => resolve()))
    clearInterval(look)
    clearTimeout(cut)
    // Only ends the server's timers: everything is closed already.
    server.close()
  }

  #add(socket: Socket): void {
    const lastSeen = performance.now()
    this.#clients.set(socket, {
      socket,
      running: 0,
      answer: undefined,
      hasHadRequest: false,
      bytesRead: 0,
      lastSeen,
    })
    socket.once('close', () => this.#clients.delete(socket))
  }

  /** Another connection may use the same addresses and port by now. */
  #endHandshake(peer: string, socket: Socket): void {
    if (this.#handshakes.get(peer) === socket) this.#handshakes.delete(peer)
  }

  /** Returns the pending answer of the previous request on the connection, if there is one. */
  #begin({ socket }: IncomingMessage, res: ServerResponse): ServerResponse | undefined {
    const client = this.#clients.get(socket)
    if (!client) return undefined
    const before = client.answer
    if (this.#isAnnounced) {
      // A pipelined request: the answer before it is not the last one any more.
      if (before && !before.headersSent) before.removeHeader('connection')
      announceClose(res)
    }
    client.running++
    client.answer = res
    client.hasHadRequest = true
    res.on('close', () => {
      client.running--
      if (client.running === 0) client.answer = undefined
      client.lastSeen = performance.now()
    })
    return before
  }

  #closeQuiet(): void {
    const now = performance.now()
    for (const client of this.#clients.values()) {
      const { bytesRead } = client.socket
      if (bytesRead !== client.bytesRead) {
        client.bytesRead = bytesRead
        client.lastSeen = now
      }
      if (client.running === 0 && now - client.lastSeen > QUIET_MS) client.socket.destroy()
    }
  }
}

function peerOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`
}

/** Makes Node.js close the connection after this answer. */
function announceClose(res: ServerResponse): void {
  if (!res.headersSent) res.setHeader('connection', 'close')
}
