import type { H3Event } from 'h3'
import type { Timing } from './call/alone.ts'
import type { CallResult } from './call/call.ts'
import { nodeOf } from './request.ts'

/** Up to this size, one text that goes out with the head is cheaper than three pieces. */
const MAX_TEXT_BYTES = 16_384

const HEAD = '{"rows":'

/**
 * Answers with the rows of a call, on Node's own response: the rows stay the bytes that PostgreSQL
 * rendered, and h3's way to the socket costs as much as the call.
 */
export function answerRows(event: H3Event, result: CallResult): void {
  const { request } = event.context
  const { res } = nodeOf(event)
  const { rows, rowCount } = result
  const totalMs = performance.now() - request.startedAt
  const tail = `,"row_count":${rowCount},"execution_time_ms":${Math.round(totalMs)}}`
  res.writeHead(200, [
    'content-type',
    'application/json; charset=utf-8',
    'content-length',
    String(HEAD.length + rows.length + tail.length),
    'x-request-id',
    request.id,
    'server-timing',
    serverTiming(result, totalMs),
  ])
  if (rows.length <= MAX_TEXT_BYTES) {
    // Each byte a character: not decoded, and encoded to what it was.
    res.end(HEAD + rows.toString('latin1') + tail, 'latin1')
  } else {
    res.cork()
    res.write(HEAD)
    res.write(rows)
    res.end(tail)
  }
}

/** https://www.w3.org/TR/server-timing/: milliseconds for a connection, for PostgreSQL, in all. */
export function serverTiming({ waitMs, queryMs }: Timing, totalMs: number): string {
  return `wait;dur=${round(waitMs)}, query;dur=${round(queryMs)}, total;dur=${round(totalMs)}`
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100
}
