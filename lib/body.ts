import { isUtf8 } from 'node:buffer'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { H3Event } from 'h3'
import type { Config } from './config.ts'
import { GatewayError } from './errors.ts'
import { BodyRoom, noRoomForBody } from './http/body-room.ts'
import type { ByteBudget } from './http/byte-budget.ts'
import { BODY_TOO_SLOW, tooSlow } from './http-limits.ts'
import { type JsonValue, parseJson } from './json.ts'
import { checkNames } from './known-names.ts'
import { nodeOf, type RequestContext } from './request.ts'

/** The rest of a body that is too large is read and thrown away up to this many bytes. */
const MAX_DISCARDED_BYTES = 16 * 1024 * 1024

/** The fields of a request's JSON. */
export interface JsonObject {
  [field: string]: JsonValue
}

/**
 * Reads a JSON object of at most MAX_BODY_BYTES, with these members and no others.
 * @throws {GatewayError} unsupported_media_type, payload_too_large, invalid_request
 */
export async function readJsonObject(
  event: H3Event,
  members: readonly string[],
): Promise<JsonObject> {
  const { gateway, request } = event.context
  const { req, res } = nodeOf(event)
  const type = mediaType(req)
  if (type !== '' && type !== 'application/json' && !type.endsWith('+json')) {
    throw new GatewayError(
      'unsupported_media_type',
      `Content-Type is ${type}; send application/json`,
    )
  }
  const bytes = await readBytes(req, res, request, gateway.config, gateway.buffered)
  if (bytes.length === 0) throw new GatewayError('invalid_request', 'The body is empty; send JSON')
  if (!isUtf8(bytes)) throw new GatewayError('invalid_request', 'The body is not UTF-8')
  const value = parseJson(bytes.toString('utf8'))
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new GatewayError('invalid_request', 'The body is not a JSON object')
  }
  checkNames('member', Object.keys(value), members)
  return value
}

/** The media type of a request's body in lower case, without parameters; '' where none is given. */
export function mediaType(req: IncomingMessage): string {
  return (req.headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase()
}

/**
 * Checks the announced size, takes room for it, and lets a client go on that waits for
 * "100 Continue".
 * @returns the room that the body has; one that comes in chunks takes it as it grows
 * @throws {GatewayError} payload_too_large, and pool_exhausted where there is no room in `budget`,
 *   before anything of the body was read
 */
export function admitBody(
  req: IncomingMessage,
  res: ServerResponse,
  maxBytes: number,
  budget: ByteBudget,
): BodyRoom {
  const length = Number(req.headers['content-length'] ?? 0)
  if (length > maxBytes) {
    refuseBody(req, res, length - maxBytes)
    throw tooLarge(maxBytes)
  }
  const room = new BodyRoom(budget, res)
  if (!room.covers(length)) {
    refuseBody(req, res, length)
    throw noRoomForBody(budget)
  }
  if (awaitsContinue(req)) res.writeContinue()
  return room
}

/** Reads and throws away a body that is refused, or closes the connection after the answer. */
function refuseBody(req: IncomingMessage, res: ServerResponse, bytes: number): void {
  if (bytes > MAX_DISCARDED_BYTES || awaitsContinue(req)) res.setHeader('connection', 'close')
  else req.resume()
}

/** Stops reading a body in the middle; its connection is closed after the answer. */
export function stopBody(req: IncomingMessage, res: ServerResponse): void {
  req.pause()
  res.setHeader('connection', 'close')
}

function readBytes(
  req: IncomingMessage,
  res: ServerResponse,
  request: RequestContext,
  { maxBodyBytes: maxBytes, requestTimeoutMs }: Config,
  budget: ByteBudget,
): Promise<Buffer> {
  const room = admitBody(req, res, maxBytes, budget)
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    req.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= maxBytes && room.grow(size)) {
        chunks.push(chunk)
        return
      }
      chunks.length = 0
      if (size <= maxBytes) {
        stopBody(req, res)
        reject(noRoomForBody(budget))
      } else if (size - maxBytes > MAX_DISCARDED_BYTES) {
        stopBody(req, res)
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
