import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import { Server as TlsServer } from 'node:https'
import { type Socket, Server as SocketServer } from 'node:net'
import { beginInTurn } from './in-turn.ts'

/** A connection of a client. */
interface Client {
  socket: Socket
  /** Requests whose answers are not out yet. */
  running: number
  /** The last of them. */
  answer: ServerResponse | undefined
  bytesRead: number
  /** `performance.now()` when something last came or went. */
  lastSeen: number
}

/**
 * How long a connection on which nothing happens is left open, so that a client which has just had
 * an answer can send its next request and be told that it is the last.
 */
const QUIET_MS = 1000

const LOOK_EVERY_MS = 50

/**
 * Stops an HTTP server so that no request is lost as far as HTTP allows. A server that closes an
 * idle connection may meet a request that is on its way (RFC 9112, 9.5); so those in use get
 * `connection: close` with their next answer, after which a client sends nothing more, and only
 * those that are quiet are closed.
 */
export class Drain {
  /** What the server has to call for each request: counts them, then calls the listener in their order. */
  readonly listener: RequestListener
  readonly #clients = new Map<Socket, Client>()
  /** With TLS: the sockets of those whose handshake is not done, by the addresses and port. */
  readonly #handshakes = new Map<string, Socket>()
  #isClosing = false

  constructor(listener: RequestListener) {
    this.listener = (req, res) => {
      const before = this.#begin(req, res)
      if (before) beginInTurn(req, before, () => listener(req, res))
      else listener(req, res)
    }
  }

  /** Knows the server's connections from now on. */
  watch(server: Server | TlsServer): void {
    server.on('connection', (socket: Socket) => this.#add(socket))
    if (!(server instanceof TlsServer)) return
    server.on('connection', (socket: Socket) => {
      const peer = peerOf(socket)
      this.#handshakes.set(peer, socket)
      socket.once('close', () => this.#endHandshake(peer, socket))
    })
    // Requests come on another socket, on top of that one, and this one is no client any more.
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

  /** How many are open. */
  get connections(): number {
    return this.#clients.size
  }

  /** The answer that a connection waits for: the last of them; undefined: none. */
  answerOf(socket: Socket): ServerResponse | undefined {
    const client = this.#clients.get(socket)
    return client && client.running > 0 ? client.answer : undefined
  }

  /** Accepts nothing more; resolves when all connections are closed, after `limitMs` by force. */
  async close(server: Server | TlsServer, limitMs: number): Promise<void> {
    this.#isClosing = true
    const now = performance.now()
    for (const client of this.#clients.values()) {
      // Who has connected and not asked yet is about to.
      if (!client.answer) client.lastSeen = now
      else if (client.running > 0) announceClose(client.answer)
    }
    const look = setInterval(() => {
      // What has come by now is read before that is called, and makes its connection a busy one.
      setImmediate(() => this.#closeQuiet())
    }, LOOK_EVERY_MS)
    const cut = setTimeout(() => {
      server.closeAllConnections()
      // Who has not sent anything, or is still at the handshake, is unknown there.
      for (const { socket } of this.#clients.values()) socket.destroy()
    }, limitMs)
    // Not the HTTP server's own, which cuts the idle connections at once.
    await new Promise<void>((resolve) => SocketServer.prototype.close.call(server, () => resolve()))
    clearInterval(look)
    clearTimeout(cut)
    // This ends its timers; there is nothing left to close.
    server.close()
  }

  #add(socket: Socket): void {
    const lastSeen = performance.now()
    this.#clients.set(socket, { socket, running: 0, answer: undefined, bytesRead: 0, lastSeen })
    socket.once('close', () => this.#clients.delete(socket))
  }

  /** The addresses and port may have become another connection's meanwhile. */
  #endHandshake(peer: string, socket: Socket): void {
    if (this.#handshakes.get(peer) === socket) this.#handshakes.delete(peer)
  }

  /** Returns the answer before it on its connection, where that is not out yet. */
  #begin({ socket }: IncomingMessage, res: ServerResponse): ServerResponse | undefined {
    const client = this.#clients.get(socket)
    if (!client) return undefined
    const before = client.running > 0 ? client.answer : undefined
    if (this.#isClosing) {
      // It came behind another one that is not answered yet, which then is not the last.
      if (client.running > 0 && !client.answer?.headersSent)
        client.answer?.removeHeader('connection')
      announceClose(res)
    }
    client.running++
    client.answer = res
    res.on('close', () => {
      client.running--
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

/** Node.js ends the connection after an answer that says so. */
function announceClose(res: ServerResponse): void {
  if (!res.headersSent) res.setHeader('connection', 'close')
}
