import { isUtf8 } from 'node:buffer'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { H3Event } from 'h3'
import { added } from '../../common/added.ts'
import { GatewayError } from '../../errors.ts'
import { type Fields, fieldsOf } from '../../json/fields.ts'
import type { Json } from '../../json/json.ts'
import { scanJson } from '../../json/scan.ts'
import type { ByteBudget } from '../byte-budget.ts'
import { BODY_FAILED } from '../listener/http-limits.ts'
import { nodeOf } from '../request.ts'
import { BodyBudget, bodyBudgetExhausted } from './body-budget.ts'
import { decodeBody, encodingOf } from './body-encoding.ts'

/** Up to this many bytes, the rest of a body that is too large is read and discarded. */
const MAX_DISCARDED_BYTES = 16 * 1024 * 1024

/**
 * Reads a JSON object of at most MAX_BODY_BYTES. Each of `members` may occur once; others are
 * refused. The values are byte ranges of the body.
 * @throws {GatewayError} unsupported_media_type, payload_too_large, invalid_request
 */
export async function readJsonObject<Name extends string>(
  event: H3Event,
  members: readonly Name[],
): Promise<Fields<Name>> {
  return parseJsonObject(await readJsonBytes(event), members)
}

/**
 * Parses a body as `readJsonObject` does; synchronously, if it is short.
 * @throws {GatewayError} invalid_request
 */
export function parseJsonObject<Name extends string>(
  body: Buffer,
  members: readonly Name[],
): Fields<Name> | Promise<Fields<Name>> {
  const bytes = withoutMark(body)
  if (bytes.length === 0) throw new GatewayError('invalid_request', 'The body is empty; send JSON')
  if (!isUtf8(bytes)) throw new GatewayError('invalid_request', 'The body is not UTF-8')
  const scanned = scanJson(bytes)
  return scanned instanceof Promise
    ? scanned.then((long) => membersOfBody(long, members))
    : membersOfBody(scanned, members)
}

function membersOfBody<Name extends string>(body: Json, members: readonly Name[]): Fields<Name> {
  if (body.kind === 'object') return fieldsOf(body, members)
  throw new GatewayError('invalid_request', 'The body is not a JSON object')
}

/** Removes a byte order mark, which RFC 8259, 8.1 allows a reader to ignore. */
function withoutMark(bytes: Buffer): Buffer {
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
  return hasMark ? bytes.subarray(3) : bytes
}

/**
 * Reads and decodes a JSON body of at most MAX_BODY_BYTES. A missing Content-Type is refused too: a
 * page of another site can send a body without a CORS preflight only if its type is not JSON.
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
  const budget = event.context.gateway.buffered
  const bodyBudget = admitBody(req, res, maxBodyBytes, budget)
  const bytes = readBytes(event, maxBodyBytes, bodyBudget)
  if (!encoding) return bytes
  return bytes.then(async (encoded) => {
    const decoded = await decodeBody(encoded, encoding, maxBodyBytes)
    if (!bodyBudget.grow(decoded.length)) throw bodyBudgetExhausted(budget)
    return decoded
  })
}

/** Returns the media type of a body in lower case, without parameters; '' if there is none. */
export function mediaType(req: IncomingMessage): string {
  const type = req.headers['content-type'] ?? ''
  const end = type.indexOf(';')
  return (end < 0 ? type : type.slice(0, end)).trim().toLowerCase()
}

/**
 * Checks the announced size of a body, takes bytes for it, and sends "100 Continue" if the client
 * waits for it.
 * @returns the body's share of the budget; for a chunked body it grows as the body arrives
 * @throws {GatewayError} before any of the body is read: payload_too_large, or pool_exhausted if
 *   `budget` is exhausted
 */
export function admitBody(
  req: IncomingMessage,
  res: ServerResponse,
  maxBytes: number,
  budget: ByteBudget,
): BodyBudget {
  const length = Number(req.headers['content-length'] ?? 0)
  if (length > maxBytes) {
    refuseBody(req, res, length - maxBytes)
    throw tooLarge(maxBytes)
  }
  const bodyBudget = new BodyBudget(budget, res)
  if (!bodyBudget.covers(length)) {
    refuseBody(req, res, length)
    throw bodyBudgetExhausted(budget)
  }
  if (awaitsContinue(req)) res.writeContinue()
  return bodyBudget
}

/** Discards a refused body, or closes the connection after the answer if the body is too large. */
export function refuseBody(req: IncomingMessage, res: ServerResponse, bytes: number): void {
  if (bytes > MAX_DISCARDED_BYTES || awaitsContinue(req)) res.setHeader('connection', 'close')
  else req.resume()
}

/** Stops reading a body; its connection is closed after the answer. */
export function stopBody(req: IncomingMessage, res: ServerResponse): void {
  req.pause()
  res.setHeader('connection', 'close')
}

function readBytes(event: H3Event, maxBytes: number, bodyBudget: BodyBudget): Promise<Buffer> {
  const { gateway, request } = event.context
  const { client } = request
  const { req, res } = nodeOf(event)
  const budget = gateway.buffered
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = []
    let size = 0
    req.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= maxBytes && bodyBudget.grow(size)) {
        chunks = added(chunks, chunk)
        return
      }
      chunks = []
      if (size <= maxBytes) {
        stopBody(req, res)
        reject(bodyBudgetExhausted(budget))
      } else if (size - maxBytes > MAX_DISCARDED_BYTES) {
        stopBody(req, res)
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

/** Rejects if the client disconnects before its request is complete. */
export function onAborted(req: IncomingMessage, reject: (error: GatewayError) => void): void {
  req.on('error', () => {})
  req.once('close', () => {
    if (!req.complete) reject(incomplete())
  })
}

/** Rejects if the body is late or malformed. */
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

/** Returns the error of a request whose client left before its body was complete. */
export function incomplete(): GatewayError {
  return new GatewayError('invalid_request', 'The request ended before its body was complete')
}

export function tooLarge(maxBytes: number): GatewayError {
  return new GatewayError('payload_too_large', `The body is larger than ${maxBytes} bytes`)
}

/** Whether the client sends its body only after "100 Continue". */
export function awaitsContinue(req: IncomingMessage): boolean {
  return req.headers.expect?.toLowerCase() === '100-continue'
}
