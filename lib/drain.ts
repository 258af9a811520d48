import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import { type Socket, Server as SocketServer } from 'node:net'

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
  /** What the server has to call for each request: counts them, then calls the listener. */
  readonly listener: RequestListener
  readonly #clients = new Map<Socket, Client>()
  #isClosing = false

  constructor(listener: RequestListener) {
    this.listener = (req, res) => {
      this.#begin(req, res)
      listener(req, res)
    }
  }

  /** Knows the server's connections from now on. */
  watch(server: Server): void {
    server.on('connection', (socket: Socket) => {
      const lastSeen = performance.now()
      this.#clients.set(socket, { socket, running: 0, answer: undefined, bytesRead: 0, lastSeen })
      socket.once('close', () => this.#clients.delete(socket))
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
  async close(server: Server, limitMs: number): Promise<void> {
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
    const cut = setTimeout(() => server.closeAllConnections(), limitMs)
    // Not the HTTP server's own, which cuts the idle connections at once.
    await new Promise<void>((resolve) => SocketServer.prototype.close.call(server, () => resolve()))
    clearInterval(look)
    clearTimeout(cut)
    // This ends its timers; there is nothing left to close.
    server.close()
  }

  #begin({ socket }: IncomingMessage, res: ServerResponse): void {
    const client = this.#clients.get(socket)
    if (!client) return
    if (this.#isClosing) {
      // It came behind another one that is not answered yet, which then is not the last.
      if (client.running > 0 && !client.answer?.headersSent)
        client.answer?.removeHeader('connection')
      announceClose(res)
    }
    client.running++
    client.answer = res
    res.once('close', () => {
      client.running--
      client.lastSeen = performance.now()
    })
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

/** Node.js ends the connection after an answer that says so. */
function announceClose(res: ServerResponse): void {
  if (!res.headersSent) res.setHeader('connection', 'close')
}
