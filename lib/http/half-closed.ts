import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { Server as TlsServer } from 'node:tls'
import type { Drain } from '../drain.ts'

/** Milliseconds between the first two probes; each further pause is twice as long, up to the longest. */
const FIRST_PAUSE_MS = 5
const LONGEST_PAUSE_MS = 10_000

/**
 * Answers clients that end their half of the connection behind a whole request (RFC 9112, 9.6). One
 * that has closed both halves sends the same FIN; but its system resets the connection when something
 * comes, and the next write fails. So such a client is sent "100 Continue" until it is answered, which
 * clients pass over (RFC 9110, 15.2.1).
 */
export function answerHalfClosed(http: Server | TlsServer, drain: Drain): void {
  // Node.js would end the connection, and with it the requests.
  Object.assign(http, { httpAllowHalfOpen: true })
  http.on(http instanceof TlsServer ? 'secureConnection' : 'connection', (socket: Socket) => {
    // Not as an option of a TLS server, where it would hold for handshakes.
    socket.allowHalfOpen = true
    socket.once('end', () => probe(socket, drain, FIRST_PAUSE_MS))
  })
}

/** HTTP/1.0 knows no answers before the last one: there, an end is one of both halves. */
function probe(socket: Socket, drain: Drain, pauseMs: number): void {
  const answer = drain.currentAnswerOf(socket)
  if (!answer || socket.destroyed) return
  if (answer.req.httpVersion === '1.0') {
    if (!answer.writableEnded) socket.destroy()
    return
  }
  // What it is sent of an answer that has begun shows the same.
  if (answer.req.complete && !answer.headersSent) answer.writeContinue()
  const again = () => probe(socket, drain, Math.min(2 * pauseMs, LONGEST_PAUSE_MS))
  setTimeout(again, pauseMs).unref()
}
