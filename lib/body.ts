import { isUtf8 } from 'node:buffer'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { H3Event } from 'h3'
import type { Config } from './config.ts'
import { GatewayError } from './errors.ts'
import { BODY_TOO_SLOW, tooSlow } from './http-limits.ts'
import { type Fields, fieldsOf } from './json/fields.ts'
import { scanJson } from './json/scan.ts'
import { nodeOf, type RequestContext } from './request.ts'

/** The rest of a body that is too large is read and thrown away up to this many bytes. */
const MAX_DISCARDED_BYTES = 16 * 1024 * 1024

/**
 * Reads a JSON object of at most MAX_BODY_BYTES, with these members, each once, and no others. They
 * are ranges of its bytes.
 * @throws {GatewayError} unsupported_media_type, payload_too_large, invalid_request
 */
export async function readJsonObject<Name extends string>(
  event: H3Event,
  members: readonly Name[],
): Promise<Fields<Name>> {
  const { gateway, request } = event.context
  const { req, res } = nodeOf(event)
  const type = mediaType(req)
  if (type !== '' && type !== 'application/json' && !type.endsWith('+json')) {
    throw new GatewayError(
      'unsupported_media_type',
      `Content-Type is ${type}; send application/json`,
    )
  }
  const bytes = await readBytes(req, res, request, gateway.config)
  if (bytes.length === 0) throw new GatewayError('invalid_request', 'The body is empty; send JSON')
  if (!isUtf8(bytes)) throw new GatewayError('invalid_request', 'The body is not UTF-8')
  const scanned = scanJson(bytes)
  const body = scanned instanceof Promise ? await scanned : scanned
  if (body.kind === 'object') return fieldsOf(body, members)
  throw new GatewayError('invalid_request', 'The body is not a JSON object')
}

/** The media type of a request's body in lower case, without parameters; '' where none is given. */
export function mediaType(req: IncomingMessage): string {
  return (req.headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase()
}

/**
 * Checks the announced size and lets a client go on that waits for "100 Continue".
 * @throws {GatewayError} payload_too_large before anything of the body was sent
 */
export function admitBody(req: IncomingMessage, res: ServerResponse, maxBytes: number): void {
  const length = Number(req.headers['content-length'] ?? 0)
  if (length > maxBytes) {
    if (length - maxBytes > MAX_DISCARDED_BYTES || awaitsContinue(req)) {
      res.setHeader('connection', 'close')
    } else {
      req.resume()
    }
    throw tooLarge(maxBytes)
  }
  if (awaitsContinue(req)) res.writeContinue()
}

function readBytes(
  req: IncomingMessage,
  res: ServerResponse,
  request: RequestContext,
  { maxBodyBytes: maxBytes, requestTimeoutMs }: Config,
): Promise<Buffer> {
  admitBody(req, res, maxBytes)
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    req.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= maxBytes) {
        chunks.push(chunk)
        return
      }
      chunks.length = 0
      if (size - maxBytes > MAX_DISCARDED_BYTES) {
        req.pause()
        res.setHeader('connection', 'close')
        reject(tooLarge(maxBytes))
      }
    })
    req.on('end', () => {
      request.onGone = undefined
      if (size > maxBytes) reject(tooLarge(maxBytes))
      else resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks))
    })
    request.onGone = () => reject(incomplete())
    onTooSlow(req, res, requestTimeoutMs, reject)
  })
}

/** Tells when the client goes away before its request is complete. */
export function onAborted(req: IncomingMessage, reject: (error: GatewayError) => void): void {
  req.on('error', () => {})
  req.once('close', () => {
    if (!req.complete) reject(incomplete())
  })
}

/** Tells when the request did not arrive in time. */
export function onTooSlow(
  req: IncomingMessage,
  res: ServerResponse,
  requestTimeoutMs: number,
  reject: (error: GatewayError) => void,
): void {
  req.once(BODY_TOO_SLOW, () => {
    res.setHeader('connection', 'close')
    reject(tooSlow(requestTimeoutMs))
  })
}

function incomplete(): GatewayError {
  return new GatewayError('invalid_request', 'The request ended before its body was complete')
}

export function tooLarge(maxBytes: number): GatewayError {
  return new GatewayError('payload_too_large', `The body is larger than ${maxBytes} bytes`)
}

function awaitsContinue(req: IncomingMessage): boolean {
  return req.headers.expect?.toLowerCase() === '100-continue'
}
