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
const MARK = `${randomBytes(12).toString('base64url')}:`

/** A text without any of these has no number that JavaScript would change. */
const MAYBE_INEXACT = /\d[.eE]|\d{16}|-0/

/** Arrays and objects within each other; PostgreSQL's own parser of JSON takes some thousand. */
const MAX_DEPTH = 1000

const QUOTE_OR_NUMBER = /"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g
const MARKED_NUMBER = new RegExp(`"${MARK}([^"]*)"`, 'g')

/**
 * Parses JSON without changing a digit of its numbers: read them with `numberText` and write them
 * with `jsonText`.
 * @throws {GatewayError} invalid_request saying where the text is not JSON, or that it is too deep
 */
export function parseJson(text: string): JsonValue {
  const value = parseExactly(text)
  // Each level takes two characters.
  if (text.length <= 2 * MAX_DEPTH || !isDeeper(value, MAX_DEPTH)) return value
  throw new GatewayError('invalid_request', `The body is nested more than ${MAX_DEPTH} levels deep`)
}

function parseExactly(text: string): JsonValue {
  try {
    const value = JSON.parse(text) as JsonValue
    if (!MAYBE_INEXACT.test(text)) return value
    const marked = markInexact(text)
    return marked === text ? value : (JSON.parse(marked) as JsonValue)
  } catch (error) {
    throw new GatewayError('invalid_request', `The body is not JSON: ${(error as Error).message}`)
  }
}

function isDeeper(value: JsonValue, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (levels === 0) return true
  if (Array.isArray(value)) return value.some((element) => isDeeper(element, levels - 1))
  for (const key in value) if (isDeeper(value[key]!, levels - 1)) return true
  return false
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
  return text.includes(MARK) ? text.replace(MARKED_NUMBER, '$1') : text
}

function isMarked(value: JsonValue): value is string {
  return typeof value === 'string' && value.startsWith(MARK)
}

/** A JSON text with a mark before every number that JavaScript would change. */
function markInexact(text: string): string {
  let marked = ''
  let copied = 0
  const tokens = new RegExp(QUOTE_OR_NUMBER)
  for (let match = tokens.exec(text); match; match = tokens.exec(text)) {
    const [token] = match
    if (token === '"') {
      tokens.lastIndex = endOfString(text, match.index)
    } else if (String(Number(token)) !== token) {
      marked += `${text.slice(copied, match.index)}"${MARK}${token}"`
      copied = tokens.lastIndex
    }
  }
  return marked + text.slice(copied)
}

/** Where the string ends that starts at `start`. Not by a pattern: a long one overflows its stack. */
function endOfString(text: string, start: number): number {
  let end = start
  let backslashes: number
  do {
    end = text.indexOf('"', end + 1)
    backslashes = 0
    while (text[end - 1 - backslashes] === '\\') backslashes++
  } while (backslashes % 2 === 1)
  return end + 1
}
