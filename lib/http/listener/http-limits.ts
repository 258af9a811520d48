import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import { Server as TlsServer } from 'node:tls'
import { GatewayError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import type { Drain } from './drain.ts'
import { answerBefore } from './in-turn.ts'
import { refuseConnection } from './refuse-connection.ts'

/** What clients may take of the listener. Durations are milliseconds. */
export interface HttpLimits {
  /** How long a request may take to arrive, head and body; its head alone at most 20 s of it. */
  requestTimeoutMs: number
  /** How long a client may read nothing of an answer. */
  sendTimeoutMs: number
  maxHttpConnections: number
}

/** Bytes of a request's head: its request line and its headers. */
const MAX_HEAD_BYTES = 16 * 1024
const MAX_HEADERS = 100
const MAX_HEAD_MS = 20_000

/** Connections above the limit that are told so at once; what is above those is closed unheard. */
const REFUSED_AT_ONCE = 100

/**
 * An event of an `IncomingMessage` with the GatewayError of a body that did not come in time or whose
 * chunks are wrong. The reader of the body rejects with it, and the answer is as any other.
 */
export const BODY_FAILED = 'bodyFailed'

/** Holds a server's clients to the limits. What Node.js would answer by itself is JSON, too. */
export function limitClients(http: Server, drain: Drain, limits: HttpLimits, log: Log): void {
  limitTime(http, drain, limits, log)
  limitHeads(http, drain)

  http.maxConnections = limits.maxHttpConnections + REFUSED_AT_ONCE
  http.on(http instanceof TlsServer ? 'secureConnection' : 'connection', (socket: Socket) => {
    if (drain.connections <= limits.maxHttpConnections) return
    const most = `${limits.maxHttpConnections} HTTP connections are open (MAX_HTTP_CONNECTIONS)`
    refuseConnection(socket, new GatewayError('pool_exhausted', most), log)
  })

  http.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const answer = drain.answerOf(socket)
    // Those of the socket and of TLS come here, too.
    const isHttp = /^(HPE|ERR_HTTP)_/.test(error.code ?? '')
    if (!isHttp || answer?.headersSent) socket.destroy()
    else if (!answer) refuseConnection(socket, refusalOf(error, limits), log)
    // What came behind a request that is being answered is nothing that its answer should say.
    else if (answer.req.complete) answer.once('close', () => socket.destroy())
    else if (!answer.req.emit(BODY_FAILED, refusalOf(error, limits))) {
      // The answers before it are whole.
      const before = answerBefore(answer.req)
      if (before) before.prependOnceListener('close', () => socket.destroy())
      else socket.destroy()
    }
  })
  http.on('connect', (_req: IncomingMessage, socket: Socket) => {
    const message = 'The gateway is no proxy: it does not take CONNECT'
    refuseConnection(socket, new GatewayError('method_not_allowed', message), log)
  })
}

/** The error of a request that took too long; Node.js looks for such only now and then. */
export function tooSlow(requestTimeoutMs: number): GatewayError {
  const seconds = requestTimeoutMs / 1000
  const message = `The request took longer than ${seconds} s to arrive (REQUEST_TIMEOUT_SECS)`
  return new GatewayError('invalid_request', message, {}, 408)
}

/**
 * What a head may not be, though it can be parsed.
 * @throws {GatewayError} invalid_request: 431 for more headers than are taken, 417, 501, 400
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
    // RFC 9112, 6.1: a transfer coding that is not understood.
    const message = `Transfer-Encoding is ${coding}; the gateway takes chunked`
    throw new GatewayError('invalid_request', message, {}, 501)
  }
  if (headers.expect !== undefined && headers.expect.toLowerCase() !== '100-continue') {
    const message = 'The header Expect has something else than 100-continue'
    throw new GatewayError('invalid_request', message, {}, 417)
  }
}

/**
 * One Host alone, and the same as of a request line with a whole URL: which of two would be meant is
 * for nobody to guess (RFC 9112, 3.2).
 */
function checkHost({ rawHeaders, headers: { host }, url = '' }: IncomingMessage): void {
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  if (hosts > 1) throw new GatewayError('invalid_request', 'The header Host is there twice')
  if (url.startsWith('/') || host === undefined) return
  const authority = /^https?:\/\/([^/?#]*)/i.exec(url)?.[1]
  if (authority === undefined || authority.toLowerCase() === host.toLowerCase()) return
  const message = 'The request line has the URL of another host than the header Host'
  throw new GatewayError('invalid_request', message)
}

function limitTime(http: Server, drain: Drain, limits: HttpLimits, log: Log): void {
  const { requestTimeoutMs, sendTimeoutMs } = limits
  http.headersTimeout = Math.min(requestTimeoutMs, MAX_HEAD_MS)
  http.requestTimeout = requestTimeoutMs
  Object.assign(http, { connectionsCheckingInterval: Math.min(requestTimeoutMs / 4, 5000) })
  // Node.js reads that when the server begins to listen, which it did within listhen.
  http.emit('listening')

  http.timeout = sendTimeoutMs
  // Nothing came or went for so long. A call or a deploy may take that; a client that has all of
  // its answers may be silent as long as connections are kept, which ends here, too.
  http.on('timeout', (socket: Socket) => {
    const isUnread = socket.writableLength > 0
    if (isUnread) {
      const seconds = sendTimeoutMs / 1000
      const address = socket.remoteAddress
      log.warn(`A client read nothing of its answer for ${seconds} s, and was cut`, { address })
    }
    if (isUnread || !drain.answerOf(socket)) socket.destroy()
  })
}

function limitHeads(http: Server, drain: Drain): void {
  // By bytes alone: of more headers than a count allows Node.js would drop those that come last,
  // such as what a proxy adds. `checkHead` counts them.
  http.maxHeadersCount = 0
  Object.assign(http, { maxHeaderSize: MAX_HEAD_BYTES, requireHostHeader: false })
  // Refused by `checkHead`, in the way of all other errors.
  http.on('checkExpectation', drain.listener)
}

/** What Node.js could not read (https://nodejs.org/api/http.html, "Event: 'clientError'"). */
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

/** Of llhttp's names, which say what was wrong: HPE_INVALID_METHOD. */
function reasonOf(code: string): string {
  const name = /^HPE_([A-Z_]+)$/.exec(code)?.[1]
  return name ? `: ${name.toLowerCase().replaceAll('_', ' ')}` : ''
}
