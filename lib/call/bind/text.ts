import type { Json } from '../../json/json.ts'
import { isEscaped, jsonOrBytesOf, stringOf, unescapedOrBytesOf } from '../../json/text.ts'

/**
 * Maximum length of a JSON string with escapes that the gateway unescapes; PostgreSQL does longer
 * ones.
 */
const MAX_ESCAPED_BYTES = 32 * 1024

/** Size at which collected text becomes a buffer. */
const PIECE_BYTES = 64 * 1024

/** A value cannot be converted to PostgreSQL input; the message is the reason. */
export class NoText extends Error {}

/**
 * Converts a value other than null to the input of a type: a string to its characters, any other
 * value to its JSON. Returns undefined for a long string with escapes.
 * @throws {NoText} for a string that PostgreSQL text cannot contain
 */
export function scalarText(json: Json): string | Buffer | undefined {
  if (json.kind !== 'string') return jsonOrBytesOf(json)
  if (!isEscaped(json)) return unescapedOrBytesOf(json)
  return json.end - json.start > MAX_ESCAPED_BYTES ? undefined : stringText(json)
}

/**
 * Returns the characters of a JSON string.
 * @throws {NoText} if PostgreSQL text cannot contain them
 */
export function stringText(string: Json): string {
  const text = stringOf(string)
  if (text.includes('\0')) throw new NoText('PostgreSQL text cannot contain a NUL character')
  if (!text.isWellFormed()) throw new NoText('it contains an unpaired surrogate')
  return text
}

/** Concatenates texts and bytes. */
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

  /** Returns the whole output: a string, or bytes if it is long. */
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
