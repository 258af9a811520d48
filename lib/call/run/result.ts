import { GatewayError } from '../../errors.ts'
import type { Result } from '../../postgres/session/query.ts'

/** The rows as PostgreSQL rendered them. */
export interface Rows {
  /** A JSON array, in UTF-8. */
  rows: Buffer
  rowCount: number
}

/** What the statement of a call gave. */
export interface CallRows extends Rows {
  /** Milliseconds that PostgreSQL took to run it, without the commit; undefined of a procedure. */
  tookMs: number | undefined
}

export const NO_ROWS = Buffer.from('[]')

/**
 * Reads what `callStatement` gave.
 * @throws {GatewayError} result_too_large
 */
export function readResult({ rows: [row] }: Result, maxBytes: number): CallRows {
  const [rows, count, took] = row!
  const rowCount = wholeNumber(count!)
  if (rows === null && rowCount > 0) throw tooLarge(maxBytes)
  return { rows: rows ?? NO_ROWS, rowCount, tookMs: milliseconds(took!) }
}

/** Of a procedure, which has no rows to stream: its INOUT and OUT parameters. */
export function outputsTooLarge(maxBytes: number): GatewayError {
  return new GatewayError(
    'result_too_large',
    `What the procedure gives is larger than ${maxBytes} bytes (MAX_RESULT_BYTES)`,
  )
}

export function tooLarge(maxBytes: number): GatewayError {
  return new GatewayError(
    'result_too_large',
    `The rows are larger than ${maxBytes} bytes (MAX_RESULT_BYTES): ask for fewer, or for a ` +
      'stream of them with "Accept: application/x-ndjson"',
  )
}

const ZERO = '0'.charCodeAt(0)

function wholeNumber(digits: Buffer): number {
  let number = 0
  for (const digit of digits) number = number * 10 + digit - ZERO
  return number
}

/** Of an interval as PostgreSQL writes it: 00:00:00.000123. A minute stands for all that is more. */
function milliseconds(interval: Buffer): number {
  const text = interval.toString('latin1')
  return text.startsWith('00:00:') ? Number(text.slice(6)) * 1000 : 60_000
}
