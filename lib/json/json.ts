import { added } from '../common/added.ts'

/** Type of a JSON value. */
export type JsonKind = 'object' | 'array' | 'string' | 'number' | 'boolean' | 'null'

/**
 * A value within the bytes of a valid JSON text, from `bytes[start]` up to, not including,
 * `bytes[end]`. An array may stand for a run of elements of another array; its first and last byte
 * are then not brackets.
 */
export interface Json {
  bytes: Buffer
  start: number
  end: number
  kind: JsonKind
  /** Long values of the text; undefined if the text itself is short. */
  long: LongValues | undefined
}

/**
 * Index of the values of at least LONG_BYTES by their start, with their end and their number of
 * elements or members, so that they are not scanned again.
 */
export type LongValues = Map<number, { end: number; count: number }>

export const LONG_BYTES = 64 * 1024

/** A member of an object. */
export interface Member {
  /** Key, a JSON string. */
  key: Json
  value: Json
}

const QUOTE = 0x22
const COMMA = 0x2c
const BACKSLASH = 0x5c
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

export function kindOf(first: number): JsonKind {
  switch (first) {
    case QUOTE:
      return 'string'
    case OPEN_BRACE:
      return 'object'
    case OPEN_BRACKET:
      return 'array'
    case 0x74: // t
    case 0x66: // f
      return 'boolean'
    case 0x6e: // n
      return 'null'
    default:
      return 'number'
  }
}

/** RFC 8259, section 2: space, tab, line feed, carriage return. */
export function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

/**
 * Iterates over the elements of an array or the members of an object. Each call of `next()` moves
 * to the next one. `start` and `end` delimit the value, `keyStart` and `keyEnd` its key.
 */
export class Children {
  start = 0
  end = 0
  keyStart = 0
  keyEnd = 0
  readonly #json: Json
  readonly #isObject: boolean
  #at: number

  constructor(json: Json) {
    this.#json = json
    this.#isObject = json.kind === 'object'
    this.#at = json.start + 1
  }

  /** Moves to the next element or member; returns false at the end. */
  next(): boolean {
    const { bytes, end, long } = this.#json
    const last = end - 1
    let at = skipSpace(bytes, this.#at, last)
    if (at < last && bytes[at] === COMMA) at = skipSpace(bytes, at + 1, last)
    if (at >= last) return false
    if (this.#isObject) {
      this.keyStart = at
      this.keyEnd = endOf(bytes, at, last, long)
      // Skip the colon after the key.
      at = skipSpace(bytes, skipSpace(bytes, this.keyEnd, last) + 1, last)
    }
    this.start = at
    this.end = endOf(bytes, at, last, long)
    this.#at = this.end
    return true
  }

  get key(): Json {
    const { bytes, long } = this.#json
    return { bytes, start: this.keyStart, end: this.keyEnd, kind: 'string', long }
  }

  get value(): Json {
    const { bytes, long } = this.#json
    const { start, end } = this
    return { bytes, start, end, kind: kindOf(bytes[start]!), long }
  }
}

export function elementsOf(array: Json): Json[] {
  let elements: Json[] = []
  const children = new Children(array)
  while (children.next()) elements = added(elements, children.value)
  return elements
}

export function membersOf(object: Json): Member[] {
  const members: Member[] = []
  const children = new Children(object)
  while (children.next()) members.push({ key: children.key, value: children.value })
  return members
}

/** Returns the number of elements or members. */
export function countOf(json: Json): number {
  const known = json.long?.get(json.start)
  if (known?.end === json.end) return known.count
  let count = 0
  const children = new Children(json)
  while (children.next()) count++
  return count
}

/** Returns an array that stands for the elements of another one from `first` to `last`. */
export function runOf(first: Json, last: Json): Json {
  const { bytes, long } = first
  return { bytes, start: first.start - 1, end: last.end + 1, kind: 'array', long }
}

function skipSpace(bytes: Buffer, from: number, limit: number): number {
  let at = from
  while (at < limit && isSpace(bytes[at]!)) at++
  return at
}

/** Returns the end of the value that starts at `start`. */
function endOf(bytes: Buffer, start: number, limit: number, long: LongValues | undefined): number {
  const known = long?.get(start)
  if (known) return known.end
  const first = bytes[start]!
  if (first === QUOTE) return endOfString(bytes, start)
  if (first === OPEN_BRACE || first === OPEN_BRACKET) return endOfContainer(bytes, start, long)
  let at = start + 1
  while (at < limit && !endsScalar(bytes[at]!)) at++
  return at
}

function endsScalar(byte: number): boolean {
  return byte === COMMA || byte === CLOSE_BRACKET || byte === CLOSE_BRACE || byte <= 0x20
}

function endOfString(bytes: Buffer, start: number): number {
  let at = start + 1
  while (bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1
  return at + 1
}

function endOfContainer(bytes: Buffer, start: number, long: LongValues | undefined): number {
  let depth = 0
  let at = start
  do {
    const byte = bytes[at]!
    if (byte === QUOTE) {
      at = long?.get(at)?.end ?? endOfString(bytes, at)
      continue
    }
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth--
    at++
  } while (depth > 0)
  return at
}
