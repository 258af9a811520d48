import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import { Server as TlsServer } from 'node:tls'
import { GatewayError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import type { Drain } from './drain.ts'
import { answerBefore } from './in-turn.ts'
import { refuseConnection } from './refuse-connection.ts'

/** Limits of the listener for its clients. Durations are in milliseconds. */
export interface HttpLimits {
  /** Time for a request to arrive, head and body; the head alone gets at most 20 s of it. */
  requestTimeoutMs: number
  /** Time for which a connection stays open without a request, after the first. */
  keepAliveMs: number
  /** Time for which a client may read nothing of an answer. */
  sendTimeoutMs: number
  maxHttpConnections: number
}

/** Maximum size of a request's head: request line and headers. */
const MAX_HEAD_BYTES = 16 * 1024
const MAX_HEADERS = 100
const MAX_HEAD_MS = 20_000

/** Connections above the limit that get an error answer; further ones are closed without one. */
const REFUSED_AT_ONCE = 100

/**
 * Event of an `IncomingMessage` whose body is late or has invalid chunks, with the GatewayError.
 * The reader of the body rejects with it, so that the error is answered like any other.
 */
export const BODY_FAILED = 'bodyFailed'

/**
 * Applies the limits to a server. Errors that Node.js would answer itself are JSON as well. The object
 * may change: `setLimits` then gives the server what it keeps of it.
 */
export function limitClients(http: Server, drain: Drain, limits: HttpLimits, log: Log): void {
  setLimits(http, limits)
  closeSilent(http, drain, limits, log)
  limitHeads(http, drain)

  http.on(http instanceof TlsServer ? 'secureConnection' : 'connection', (socket: Socket) => {
    if (drain.connections <= limits.maxHttpConnections) return
    const most = `${limits.maxHttpConnections} HTTP connections are open (MAX_HTTP_CONNECTIONS)`
    refuseConnection(socket, new GatewayError('pool_exhausted', most), log)
  })

  http.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const answer = drain.answerOf(socket)
    // Errors of the socket and of TLS also arrive here.
    const isHttp = /^(HPE|ERR_HTTP)_/.test(error.code ?? '')
    if (!isHttp || answer?.headersSent) socket.destroy()
    else if (!answer) refuseConnection(socket, refusalOf(error, limits), log)
    // Bad input behind a complete request must not change the answer of that request.
    else if (answer.req.complete) answer.once('close', () => socket.destroy())
    else if (!answer.req.emit(BODY_FAILED, refusalOf(error, limits))) {
      // The request waits for its turn: the answers before it are completed first.
      const before = answerBefore(answer.req)
      if (before) before.prependOnceListener('close', () => socket.destroy())
      else socket.destroy()
    }
  })
  http.on('connect', (_req: IncomingMessage, socket: Socket) => {
    const message = 'CONNECT is not supported: the gateway is not a proxy'
    refuseConnection(socket, new GatewayError('method_not_allowed', message), log)
  })
}

/** Returns the error of a request that is late. Node.js checks for late requests at intervals. */
export function tooSlow(requestTimeoutMs: number): GatewayError {
  const seconds = requestTimeoutMs / 1000
  const message = `The request took longer than ${seconds} s to arrive (REQUEST_TIMEOUT_SECS)`
  return new GatewayError('invalid_request', message, {}, 408)
}

/**
 * Rejects heads that Node.js can parse but the gateway does not accept.
 * @throws {GatewayError} invalid_request: 431 for too many headers, 417, 501, 400
 */
export function checkHead(req: IncomingMessage): void {
  const { rawHeaders, headers } = req
  if (rawHeaders.length > 2 * MAX_HEADERS) {
    const message = `The request has ${rawHeaders.length / 2} headers, more than ${MAX_HEADERS}`
    throw new GatewayError('invalid_request', message, {}, 431)
  }
  if (headers.host === undefined && req.httpVersion === '1.1') {
    throw new GatewayError('invalid_request', 'The header Host is missing')
  }
  checkHost(req)
  const coding = headers['transfer-encoding']
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    // RFC 9112, 6.1: 501 for an unknown transfer coding.
    const message = `Transfer-Encoding is ${coding}; the gateway takes chunked`
    throw new GatewayError('invalid_request', message, {}, 501)
  }
  if (headers.expect !== undefined && headers.expect.toLowerCase() !== '100-continue') {
    const message = 'The header Expect is not 100-continue'
    throw new GatewayError('invalid_request', message, {}, 417)
  }
}

/**
 * Requires a single Host that equals the host of an absolute URL in the request line: servers and
 * proxies could choose different ones otherwise (RFC 9112, 3.2).
 */
function checkHost({ rawHeaders, headers: { host }, url = '' }: IncomingMessage): void {
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  if (hosts > 1)
    throw new GatewayError('invalid_request', 'The request has more than one Host header')
  if (url.startsWith('/') || host === undefined) return
  const authority = /^https?:\/\/([^/?#]*)/i.exec(url)?.[1]
  if (authority === undefined || authority.toLowerCase() === host.toLowerCase()) return
  const message = 'The host in the request line differs from the header Host'
  throw new GatewayError('invalid_request', message)
}

/** Gives the server those limits that it keeps itself; the timeouts hold for new connections. */
export function setLimits(http: Server, limits: HttpLimits): void {
  const { requestTimeoutMs, keepAliveMs, sendTimeoutMs, maxHttpConnections } = limits
  http.keepAliveTimeout = keepAliveMs
  http.headersTimeout = Math.min(requestTimeoutMs, MAX_HEAD_MS)
  http.requestTimeout = requestTimeoutMs
  Object.assign(http, { connectionsCheckingInterval: Math.min(requestTimeoutMs / 4, 5000) })
  // Node.js reads the interval at 'listening', which was emitted within listhen already.
  http.emit('listening')

  http.timeout = sendTimeoutMs
  http.maxConnections = maxHttpConnections + REFUSED_AT_ONCE
}

function closeSilent(http: Server, drain: Drain, limits: HttpLimits, log: Log): void {
  // 'timeout' means no traffic. A running call or deploy may take longer. A connection is closed if
  // its client does not read, or if it is idle.
  http.on('timeout', (socket: Socket) => {
    if (socket.writableLength > 0) {
      const seconds = limits.sendTimeoutMs / 1000
      const address = socket.remoteAddress
      log.warn(`Connection closed: the client read nothing of its answer for ${seconds} s`, {
        address,
      })
      socket.destroy()
    } else if (!drain.answerOf(socket)) closeUnlessRead(socket, drain)
  })
}

/** Closes an idle connection, unless a request is in its buffer that a late event loop has not read. */
function closeUnlessRead(socket: Socket, drain: Drain): void {
  const { bytesRead } = socket
  setImmediate(() => {
    if (socket.bytesRead === bytesRead && !drain.answerOf(socket)) socket.destroy()
  })
}

function limitHeads(http: Server, drain: Drain): void {
  // The limit is in bytes. With maxHeadersCount, Node.js would drop the last headers silently, such
  // as those a proxy adds. `checkHead` counts the headers.
  http.maxHeadersCount = 0
  Object.assign(http, { maxHeaderSize: MAX_HEAD_BYTES, requireHostHeader: false })
  // `checkHead` refuses other expectations, so that the error is like all others.
  http.on('checkExpectation', drain.listener)
}

/** Converts Node's parse error (https://nodejs.org/api/http.html, "Event: 'clientError'"). */
function refusalOf({ code = '' }: NodeJS.ErrnoException, limits: HttpLimits): GatewayError {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return tooSlow(limits.requestTimeoutMs)
  if (code === 'HPE_HEADER_OVERFLOW') {
    const message = `The request line and the headers have more than ${MAX_HEAD_BYTES} bytes`
    return new GatewayError('invalid_request', message, {}, 431)
  }
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') {
    return new GatewayError('payload_too_large', 'The chunk extensions of the body are too long')
  }
  return new GatewayError('invalid_request', `The request is not HTTP/1.1${reasonOf(code)}`)
}

/** Returns the reason from llhttp's error code, such as HPE_INVALID_METHOD. */
function reasonOf(code: string): string {
  const name = /^HPE_([A-Z_]+)$/.exec(code)?.[1]
  return name ? `: ${name.toLowerCase().replaceAll('_', ' ')}` : ''
}
