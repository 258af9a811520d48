import type { GatewayError } from '../errors.ts'
import { isSpace, type Json, kindOf, LONG_BYTES, type LongValues } from './json.ts'
import { tooDeep, unexpected } from './not-json.ts'
import { nextTurn, SLICE_BYTES } from './slices.ts'

/**
 * Deepest nesting of arrays and objects; PostgreSQL's JSON parser accepts a few thousand levels.
 */
const MAX_DEPTH = 1000

/** States of the parser: the token that may come next. */
const VALUE = 0
const VALUE_OR_END = 1
const KEY = 2
const KEY_OR_END = 3
const COLON = 4
const COMMA_OR_END = 5
const NOTHING = 6
/** Inside a string that is a key, or a value. */
const IN_KEY = 7
const IN_STRING = 8
/** Inside a number, after at least one digit of its integer part, fraction or exponent. */
const IN_INTEGER = 9
const IN_FRACTION = 10
const IN_EXPONENT = 11

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACKET = 0x5b
const OPEN_BRACE = 0x7b
const CLOSE_BRACKET = 0x5d
const CLOSE_BRACE = 0x7d

const TRUE = Buffer.from('true')
const FALSE = Buffer.from('false')
const NULL = Buffer.from('null')

/**
 * Checks that the bytes, which are UTF-8, are one JSON text (RFC 8259). Large texts are checked in
 * slices.
 * @throws {GatewayError} invalid_request with the position in bytes, or for nesting deeper than
 *   1000 levels
 */
export function scanJson(bytes: Buffer): Json | Promise<Json> {
  return bytes.length <= SLICE_BYTES ? scanNow(bytes) : scanInSlices(bytes, SLICE_BYTES)
}

/** Checks the text at once. */
export function scanNow(bytes: Buffer): Json {
  SHARED.begin(bytes)
  SHARED.goOn(bytes.length)
  return SHARED.end()
}

/** Checks the text in slices of `sliceBytes`, and yields to the event loop after each. */
export async function scanInSlices(bytes: Buffer, sliceBytes: number): Promise<Json> {
  const scan = new Scan()
  scan.begin(bytes)
  for (let to = sliceBytes; to < bytes.length; to += sliceBytes) {
    scan.goOn(to)
    await nextTurn()
  }
  scan.goOn(bytes.length)
  return scan.end()
}

/** State of a check that can pause between slices. */
class Scan {
  #bytes: Buffer = NULL
  #at = 0
  #expected = VALUE
  #depth = 0
  /** Start of the string or number that contains `#at`. */
  #tokenStart = 0
  #rootStart = 0
  #long: LongValues | undefined
  /** For each level: 1 if it is an object, its start, and its number of values. */
  readonly #isObject = new Uint8Array(MAX_DEPTH + 1)
  readonly #starts = new Int32Array(MAX_DEPTH + 1)
  readonly #counts = new Int32Array(MAX_DEPTH + 1)

  begin(bytes: Buffer): void {
    this.#bytes = bytes
    this.#at = 0
    this.#expected = VALUE
    this.#depth = 0
    this.#long = bytes.length >= LONG_BYTES ? new Map() : undefined
  }

  /** Checks the bytes before `limit`, and the rest of a token that cannot be split there. */
  goOn(limit: number): void {
    const bytes = this.#bytes
    let at = this.#at
    while (at < limit) {
      const expected = this.#expected
      if (expected >= IN_KEY) {
        at = expected <= IN_STRING ? this.#goOnString(at, limit) : this.#goOnNumber(at, limit)
        continue
      }
      const byte = bytes[at]!
      if (byte <= 0x20 && isSpace(byte)) {
        at++
      } else if (expected === COMMA_OR_END) {
        at = this.#goBehindValue(byte, at)
      } else if (expected <= VALUE_OR_END) {
        at = this.#goIntoValue(byte, at, limit)
      } else if (expected === COLON) {
        if (byte !== 0x3a) throw this.#unexpected(at)
        this.#expected = VALUE
        at++
      } else if (byte === QUOTE && expected !== NOTHING) {
        this.#tokenStart = at++
        this.#expected = IN_KEY
      } else if (byte === CLOSE_BRACE && expected === KEY_OR_END) {
        at = this.#close(at)
      } else {
        throw this.#unexpected(at)
      }
    }
    this.#at = at
  }

  /**
   * Ends the check and returns the root value.
   * @throws {GatewayError} invalid_request if the text is incomplete
   */
  end(): Json {
    const bytes = this.#bytes
    if (this.#expected !== NOTHING) throw this.#unexpected(this.#at)
    this.#bytes = NULL
    const start = this.#rootStart
    let { length: end } = bytes
    while (isSpace(bytes[end - 1]!)) end--
    return { bytes, start, end, kind: kindOf(bytes[start]!), long: this.#long }
  }

  #goIntoValue(byte: number, at: number, limit: number): number {
    const depth = this.#depth
    if (byte === CLOSE_BRACKET) {
      if (this.#expected === VALUE_OR_END) return this.#close(at)
      throw this.#unexpected(at)
    }
    this.#counts[depth]!++
    if (depth === 0) this.#rootStart = at
    if (byte === QUOTE) {
      this.#tokenStart = at
      this.#expected = IN_STRING
      return at + 1
    }
    if (byte === OPEN_BRACKET || byte === OPEN_BRACE) return this.#open(byte, at)
    if (byte === 0x74) return this.#goBehindWord(TRUE, at)
    if (byte === 0x66) return this.#goBehindWord(FALSE, at)
    if (byte === 0x6e) return this.#goBehindWord(NULL, at)
    return this.#goIntoNumber(byte, at, limit)
  }

  #goBehindValue(byte: number, at: number): number {
    const isObject = this.#isObject[this.#depth] === 1
    if (byte === 0x2c) {
      this.#expected = isObject ? KEY : VALUE
      return at + 1
    }
    if (byte === (isObject ? CLOSE_BRACE : CLOSE_BRACKET)) return this.#close(at)
    throw this.#unexpected(at)
  }

  #open(byte: number, at: number): number {
    if (this.#depth === MAX_DEPTH) throw tooDeep(MAX_DEPTH)
    const depth = ++this.#depth
    this.#isObject[depth] = byte === OPEN_BRACE ? 1 : 0
    this.#starts[depth] = at
    this.#counts[depth] = 0
    this.#expected = byte === OPEN_BRACE ? KEY_OR_END : VALUE_OR_END
    return at + 1
  }

  #close(at: number): number {
    const depth = this.#depth--
    const start = this.#starts[depth]!
    if (at + 1 - start >= LONG_BYTES) this.#noteLong(start, at + 1, this.#counts[depth]!)
    this.#expected = depth === 1 ? NOTHING : COMMA_OR_END
    return at + 1
  }

  #goOnString(from: number, limit: number): number {
    const bytes = this.#bytes
    let at = from
    while (at < limit) {
      const byte = bytes[at]!
      if (byte === QUOTE) {
        at++
        if (at - this.#tokenStart >= LONG_BYTES) this.#noteLong(this.#tokenStart, at, 0)
        const isKey = this.#expected === IN_KEY
        this.#expected = isKey ? COLON : this.#depth === 0 ? NOTHING : COMMA_OR_END
        return at
      }
      if (byte === BACKSLASH) at = this.#endOfEscape(at)
      else if (byte < 0x20) throw this.#unexpected(at)
      else at++
    }
    return at
  }

  /** RFC 8259, section 7. */
  #endOfEscape(at: number): number {
    const bytes = this.#bytes
    switch (bytes[at + 1]) {
      case QUOTE:
      case BACKSLASH:
      case 0x2f: // /
      case 0x62: // b
      case 0x66: // f
      case 0x6e: // n
      case 0x72: // r
      case 0x74: // t
        return at + 2
      case 0x75: // u
        for (let i = at + 2; i < at + 6; i++) if (!isHexDigit(bytes[i]!)) throw this.#unexpected(i)
        return at + 6
      default:
        throw this.#unexpected(at + 1)
    }
  }

  #goBehindWord(word: Buffer, at: number): number {
    for (let i = 1; i < word.length; i++) {
      if (this.#bytes[at + i] !== word[i]) throw this.#unexpected(at + i)
    }
    this.#expected = this.#depth === 0 ? NOTHING : COMMA_OR_END
    return at + word.length
  }

  /** RFC 8259, section 6. */
  #goIntoNumber(byte: number, start: number, limit: number): number {
    this.#tokenStart = start
    this.#expected = IN_INTEGER
    const first = byte === 0x2d ? start + 1 : start
    const at = this.#behindDigit(first)
    if (this.#bytes[first] === 0x30 && isDigit(this.#bytes[at])) throw this.#unexpected(at)
    return this.#goOnNumber(at, limit)
  }

  #goOnNumber(from: number, limit: number): number {
    const bytes = this.#bytes
    let at = from
    for (;;) {
      while (at < limit && isDigit(bytes[at])) at++
      if (at >= limit && at < bytes.length) return at
      const byte = bytes[at]
      if (byte === 0x2e && this.#expected === IN_INTEGER) {
        this.#expected = IN_FRACTION
        at = this.#behindDigit(at + 1)
      } else if ((byte === 0x65 || byte === 0x45) && this.#expected !== IN_EXPONENT) {
        this.#expected = IN_EXPONENT
        const isSigned = bytes[at + 1] === 0x2b || bytes[at + 1] === 0x2d
        at = this.#behindDigit(isSigned ? at + 2 : at + 1)
      } else {
        if (at - this.#tokenStart >= LONG_BYTES) this.#noteLong(this.#tokenStart, at, 0)
        this.#expected = this.#depth === 0 ? NOTHING : COMMA_OR_END
        return at
      }
    }
  }

  #behindDigit(at: number): number {
    if (!isDigit(this.#bytes[at])) throw this.#unexpected(at)
    return at + 1
  }

  #noteLong(start: number, end: number, count: number): void {
    this.#long?.set(start, { end, count })
  }

  #unexpected(at: number): GatewayError {
    return unexpected(this.#bytes, at)
  }
}

const SHARED = new Scan()

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39
}

function isHexDigit(byte: number): boolean {
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    (byte >= 0x41 && byte <= 0x46) ||
    (byte >= 0x61 && byte <= 0x66)
  )
}
