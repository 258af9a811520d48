import { GatewayError } from '../../errors.ts'
import type { Result } from '../../postgres/session/query.ts'

/** Rows as PostgreSQL rendered them. */
export interface Rows {
  /** JSON array in UTF-8. */
  rows: Buffer
  rowCount: number
  /**
   * Milliseconds that PostgreSQL took to run the statement, without the commit; undefined if it is
   * not known, as for a procedure.
   */
  tookMs?: number | undefined
}

/** Result of the statement of a call. */
export interface CallRows extends Rows {
  /**
   * Milliseconds that PostgreSQL took to run the statement, without the commit; undefined for a
   * procedure.
   */
  tookMs: number | undefined
}

export const NO_ROWS = Buffer.from('[]')

/**
 * Reads the result of `callStatement`.
 * @throws {GatewayError} result_too_large
 */
export function readResult({ rows: [row] }: Result, maxBytes: number): CallRows {
  const [rows, count, took] = row!
  const rowCount = wholeNumber(count!)
  if (rows === null && rowCount > 0) throw tooLarge(maxBytes)
  return { rows: rows ?? NO_ROWS, rowCount, tookMs: milliseconds(took!) }
}

/**
 * Returns the error for a procedure whose INOUT and OUT parameters are too large. A procedure has
 * no rows to stream.
 */
export function outputsTooLarge(maxBytes: number): GatewayError {
  return new GatewayError(
    'result_too_large',
    `The output parameters of the procedure are larger than ${maxBytes} bytes (MAX_RESULT_BYTES)`,
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

/**
 * Reads an interval in PostgreSQL's style, such as 00:00:00.000123. Returns 60,000 for a minute or
 * more.
 */
function milliseconds(interval: Buffer): number {
  const text = interval.toString('latin1')
  return text.startsWith('00:00:') ? Number(text.slice(6)) * 1000 : 60_000
}
