import type { Json } from '../../json/json.ts'
import { isEscaped, jsonOrBytesOf, stringOf, unescapedOrBytesOf } from '../../json/text.ts'

/** A string with escapes that is longer is left to PostgreSQL. */
const MAX_ESCAPED_BYTES = 32 * 1024

/** Bytes that wait to become one piece of an output. */
const PIECE_BYTES = 64 * 1024

/** Why no text of PostgreSQL is a value, as its message. */
export class NoText extends Error {}

/**
 * The text of a value that is not null, as a type's input function reads it: the characters of a
 * string, anything else as its JSON. Undefined for a long string with escapes.
 * @throws {NoText} for a string that PostgreSQL cannot hold
 */
export function scalarText(json: Json): string | Buffer | undefined {
  if (json.kind !== 'string') return jsonOrBytesOf(json)
  if (!isEscaped(json)) return unescapedOrBytesOf(json)
  return json.end - json.start > MAX_ESCAPED_BYTES ? undefined : stringText(json)
}

/**
 * The characters of a string.
 * @throws {NoText} where PostgreSQL cannot hold them
 */
export function stringText(string: Json): string {
  const text = stringOf(string)
  if (text.includes('\0')) throw new NoText('PostgreSQL text holds no NUL character')
  if (!text.isWellFormed()) throw new NoText('it holds half a surrogate pair')
  return text
}

/** Takes texts and bytes one behind the other. */
export class Output {
  readonly #pieces: Buffer[] = []
  #text = ''

  add(text: string): void {
    this.#text += text
    if (this.#text.length >= PIECE_BYTES) this.#flush()
  }

  addBytes(bytes: Buffer, start: number, end: number): void {
    if (end - start < PIECE_BYTES) {
      this.add(bytes.toString('utf8', start, end))
    } else {
      this.#flush()
      this.#pieces.push(bytes.subarray(start, end))
    }
  }

  /** All of it: bytes where it is long. */
  end(): string | Buffer {
    if (this.#pieces.length === 0) return this.#text
    this.#flush()
    return Buffer.concat(this.#pieces)
  }

  #flush(): void {
    if (this.#text === '') return
    this.#pieces.push(Buffer.from(this.#text))
    this.#text = ''
  }
}
