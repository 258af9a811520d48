import { randomBytes } from 'node:crypto'
import { GatewayError } from './errors.ts'

export type JsonValue =
  | string
  | number
  | boolean
  | null
  | JsonValue[]
  | { [key: string]: JsonValue }

/**
 * A number whose digits JavaScript would change (12345678901234567890, 1.50, 1e400) is kept as it
 * was written: as a string that starts with this mark. It is new in every process, so that nobody
 * can send one.
 */
const MARK = `\0${randomBytes(12).toString('base64url')}:`

/** A text without any of these has no number that JavaScript would change. */
const MAYBE_INEXACT = /\d[.eE]|\d{16}|-0/

/** A string, or else a number; every JSON text is these and punctuation and words. */
const STRING_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g

const MARK_IN_JSON = JSON.stringify(MARK).slice(1, -1)
const MARKED_NUMBER = new RegExp(`"${MARK_IN_JSON.replace('\\', '\\\\')}([^"]*)"`, 'g')

/**
 * Parses JSON without changing a digit of its numbers: read them with `numberText` and write them
 * with `jsonText`.
 * @throws {GatewayError} invalid_request saying where the text is not JSON
 */
export function parseJson(text: string): JsonValue {
  try {
    const value = JSON.parse(text) as JsonValue
    if (!MAYBE_INEXACT.test(text)) return value
    return JSON.parse(text.replace(STRING_OR_NUMBER, markInexact)) as JsonValue
  } catch (error) {
    throw new GatewayError('invalid_request', `The body is not JSON: ${(error as Error).message}`)
  }
}

/** Whether a value of `parseJson` is a number. */
export function isNumber(value: JsonValue): boolean {
  return typeof value === 'number' || isMarked(value)
}

/** The digits of a number, as they were written. */
export function numberText(value: JsonValue): string {
  return isMarked(value) ? value.slice(MARK.length) : String(value)
}

/** The JSON text of a value of `parseJson`. */
export function jsonText(value: JsonValue): string {
  const text = JSON.stringify(value)
  return text.includes(MARK_IN_JSON) ? text.replace(MARKED_NUMBER, '$1') : text
}

function isMarked(value: JsonValue): value is string {
  return typeof value === 'string' && value.startsWith(MARK)
}

function markInexact(token: string): string {
  if (token.startsWith('"') || String(Number(token)) === token) return token
  return JSON.stringify(MARK + token)
}
