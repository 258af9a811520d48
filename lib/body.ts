import { isUtf8 } from 'node:buffer'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { H3Event } from 'h3'
import { GatewayError } from './errors.ts'
import { decodeBody, encodingOf } from './http/body-encoding.ts'
import { BODY_FAILED } from './http-limits.ts'
import { type JsonValue, parseJson } from './json.ts'
import { nodeOf } from './request.ts'

/** The rest of a body that is too large is read and thrown away up to this many bytes. */
const MAX_DISCARDED_BYTES = 16 * 1024 * 1024

/** The fields of a request's JSON. */
export interface JsonObject {
  [field: string]: JsonValue
}

/**
 * Reads a JSON object of at most MAX_BODY_BYTES.
 * @throws {GatewayError} unsupported_media_type, payload_too_large, invalid_request
 */
export async function readJsonObject(event: H3Event): Promise<JsonObject> {
  const bytes = await readJsonBytes(event)
  if (bytes.length === 0) throw new GatewayError('invalid_request', 'The body is empty; send JSON')
  if (!isUtf8(bytes)) throw new GatewayError('invalid_request', 'The body is not UTF-8')
  const value = parseJson(bytes.toString('utf8'))
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw new GatewayError('invalid_request', 'The body is not a JSON object')
}

/**
 * Reads the bytes of a JSON body, at most MAX_BODY_BYTES, with its Content-Encoding undone. What a
 * browser sends by itself has no JSON type, so that a missing one is refused as well.
 * @throws {GatewayError} unsupported_media_type, payload_too_large, invalid_request
 */
export function readJsonBytes(event: H3Event): Promise<Buffer> {
  const { maxBodyBytes } = event.context.gateway.config
  const { req, res } = nodeOf(event)
  const type = mediaType(req)
  if (type !== 'application/json' && !type.endsWith('+json')) {
    throw new GatewayError(
      'unsupported_media_type',
      `Content-Type is ${type || 'missing'}; send application/json`,
    )
  }
  const encoding = encodingOf(req, res)
  const bytes = readBytes(event, maxBodyBytes)
  if (!encoding) return bytes
  return bytes.then((encoded) => decodeBody(encoded, encoding, maxBodyBytes))
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

function readBytes(event: H3Event, maxBytes: number): Promise<Buffer> {
  const { client } = event.context.request
  const { req, res } = nodeOf(event)
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
      client.onGone = undefined
      if (size > maxBytes) reject(tooLarge(maxBytes))
      else resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks))
    })
    client.onGone = () => reject(incomplete())
    onBodyFailed(req, res, reject)
  })
}

/** Tells when the client goes away before its request is complete. */
export function onAborted(req: IncomingMessage, reject: (error: GatewayError) => void): void {
  req.on('error', () => {})
  req.once('close', () => {
    if (!req.complete) reject(incomplete())
  })
}

/** Tells when the body did not arrive in time, or cannot be read. */
export function onBodyFailed(
  req: IncomingMessage,
  res: ServerResponse,
  reject: (error: GatewayError) => void,
): void {
  req.on(BODY_FAILED, (error: GatewayError) => {
    res.setHeader('connection', 'close')
    reject(error)
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
