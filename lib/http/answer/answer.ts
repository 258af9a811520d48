import type { H3Event } from 'h3'
import type { CallResult, Timing } from '../../call/run/attempt.ts'
import { nodeOf } from '../request.ts'
import { chooseEncoding, compress, type Encoding } from './compress.ts'
import { countAnswer } from './response-budget.ts'

/** Up to this size, sending head and rows as one string is cheaper than three writes. */
const MAX_TEXT_BYTES = 16_384

/** From this size on, compression saves more than it costs. */
const MIN_COMPRESSED_BYTES = 8192

const HEAD = '{"rows":'

/**
 * Answers with the rows of a call on Node's response: h3's way to the socket would cost as much as
 * the call itself. The rows are sent as the bytes that PostgreSQL rendered.
 * @param more names and values of additional headers, alternately
 */
export function answerRows(
  event: H3Event,
  result: CallResult,
  more: string[] = [],
): void | Promise<void> {
  const { res } = nodeOf(event)
  noteTiming(event, result)
  const { rows, rowCount } = result
  const totalMs = performance.now() - event.context.request.startedAt
  const tail = `,"row_count":${rowCount},"execution_time_ms":${result.kept?.tookMs ?? Math.round(totalMs)}}`
  const encoding = encodingFor(event, rows.length)
  if (encoding) {
    const body = Buffer.concat([Buffer.from(HEAD), rows, Buffer.from(tail)])
    return answerCompressed(event, encoding, body, result, totalMs, more)
  }
  const length = HEAD.length + rows.length + tail.length
  countAnswer(event.context.gateway.buffered, res, length)
  const head = headers(event, length, result, totalMs)
  res.writeHead(200, more.length > 0 ? [...head, ...more] : head)
  if (rows.length <= MAX_TEXT_BYTES) {
    // latin1 maps each byte to one character and back, so the UTF-8 bytes stay as they are.
    res.end(HEAD + rows.toString('latin1') + tail, 'latin1')
  } else {
    res.cork()
    res.write(HEAD)
    res.write(rows)
    res.end(tail)
  }
}

/** Answers with a JSON text. */
export function answerJson(
  event: H3Event,
  body: Buffer,
  timing: Timing,
  totalMs: number,
  more: string[] = [],
): void | Promise<void> {
  noteTiming(event, timing)
  const encoding = encodingFor(event, body.length)
  if (encoding) return answerCompressed(event, encoding, body, timing, totalMs, more)
  const { res } = nodeOf(event)
  countAnswer(event.context.gateway.buffered, res, body.length)
  res.writeHead(200, [...headers(event, body.length, timing, totalMs), ...more])
  res.end(body)
}

/** Sets the timing for the log. */
export function noteTiming({ context: { request } }: H3Event, { waitMs, queryMs }: Timing): void {
  request.waitMs = waitMs
  request.queryMs = queryMs
}

/** Returns the encoding to compress an answer of this size with; undefined for none. */
function encodingFor(event: H3Event, length: number): Encoding | undefined {
  if (length < MIN_COMPRESSED_BYTES) return undefined
  return chooseEncoding(nodeOf(event).req.headers['accept-encoding'])
}

async function answerCompressed(
  event: H3Event,
  encoding: Encoding,
  body: Buffer,
  timing: Timing,
  totalMs: number,
  more: string[] = [],
): Promise<void> {
  const { res } = nodeOf(event)
  const { buffered } = event.context.gateway
  countAnswer(buffered, res, body.length)
  const bytes = await compress(encoding, body)
  countAnswer(buffered, res, bytes.length)
  const head = headers(event, bytes.length, timing, totalMs)
  const vary = more.includes('vary') ? [] : ['vary', 'accept, accept-encoding']
  res.writeHead(200, [...head, ...more, 'content-encoding', encoding, ...vary])
  res.end(bytes)
}

function headers(event: H3Event, length: number, timing: Timing, totalMs: number): string[] {
  return [
    'content-type',
    'application/json; charset=utf-8',
    'content-length',
    String(length),
    'x-request-id',
    event.context.request.id,
    'server-timing',
    serverTiming(timing, totalMs),
  ]
}

/** Returns a Server-Timing header (https://www.w3.org/TR/server-timing/); milliseconds. */
function serverTiming({ waitMs, queryMs }: Timing, totalMs: number): string {
  return `wait;dur=${round(waitMs)}, query;dur=${round(queryMs)}, total;dur=${round(totalMs)}`
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100
}
