import { writeText } from '../../common/write-text.ts'
import type { Value } from './query.ts'

const INITIAL_BYTES = 8 * 1024
/** Largest buffer in bytes that is used again. */
const MAX_KEPT_BYTES = 256 * 1024
/** Longer texts are measured before encoding; shorter ones reserve three bytes per UTF-16 unit. */
const MEASURED_LENGTH = 4096

/**
 * Encodes messages to the server into one growing, reused buffer (PostgreSQL manual, "Message
 * Formats").
 */
export class Output {
  #bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES)
  /** Start of the bytes that were not taken yet. */
  #start = 0
  #end = 0

  get isEmpty(): boolean {
    return this.#start === this.#end
  }

  /** Writes Parse without parameter types: PostgreSQL infers them. */
  parse(name: string, text: string): void {
    const at = this.#begin(0x50) // P
    this.#cstring(name)
    this.#cstring(text)
    this.#int16(0)
    this.#finish(at)
  }

  /** Writes Bind with all values and results in text format. */
  bind(portal: string, statement: string, values: readonly Value[]): void {
    const at = this.#begin(0x42) // B
    this.#cstring(portal)
    this.#cstring(statement)
    this.#int16(0)
    this.#int16(values.length)
    for (let i = 0; i < values.length; i++) this.#value(values[i]!)
    this.#int16(0)
    this.#finish(at)
  }

  /** Writes Describe for a portal. */
  describePortal(portal: string): void {
    this.#named(0x44, 0x50, portal) // D, P
  }

  /** Writes Execute; `maxRows` 0 means all rows. */
  execute(portal: string, maxRows: number): void {
    const at = this.#begin(0x45) // E
    this.#cstring(portal)
    this.#int32(maxRows)
    this.#finish(at)
  }

  /** Writes Close for a prepared statement. */
  closeStatement(name: string): void {
    this.#named(0x43, 0x53, name) // C, S
  }

  /** Writes Close for a portal. */
  closePortal(name: string): void {
    this.#named(0x43, 0x50, name) // C, P
  }

  sync(): void {
    this.#finish(this.#begin(0x53)) // S
  }

  /** Writes Query: a text of any number of statements. */
  query(sql: string): void {
    const at = this.#begin(0x51) // Q
    this.#cstring(sql)
    this.#finish(at)
  }

  /** Writes CopyFail. */
  copyFail(reason: string): void {
    const at = this.#begin(0x66) // f
    this.#cstring(reason)
    this.#finish(at)
  }

  terminate(): void {
    this.#finish(this.#begin(0x58)) // X
  }

  /** Returns the bytes written since the last call. They stay valid until `renew(true)`. */
  take(): Buffer {
    const taken = this.#bytes.subarray(this.#start, this.#end)
    this.#start = this.#end
    return taken
  }

  /** Starts at the front again; `isOut`: all taken bytes are sent, so the buffer can be reused. */
  renew(isOut: boolean): void {
    if (!this.isEmpty) return
    this.#start = 0
    this.#end = 0
    const isKept = isOut && this.#bytes.length <= MAX_KEPT_BYTES
    if (!isKept) this.#bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES)
  }

  #begin(type: number): number {
    this.#reserve(5)
    const at = this.#end
    this.#bytes[at] = type
    this.#end = at + 5
    return at + 1
  }

  /** Fills in the length of a message, for which `begin` reserved space. */
  #finish(at: number): void {
    this.#setInt32(at, this.#end - at)
  }

  #named(type: number, kind: number, name: string): void {
    const at = this.#begin(type)
    this.#reserve(1)
    this.#bytes[this.#end++] = kind
    this.#cstring(name)
    this.#finish(at)
  }

  #value(value: Value): void {
    this.#reserve(4)
    const at = this.#end
    this.#end = at + 4
    if (value === null) {
      this.#setInt32(at, -1)
      return
    }
    if (typeof value === 'string') {
      this.#text(value)
    } else {
      this.#reserve(value.length)
      this.#bytes.set(value, this.#end)
      this.#end += value.length
    }
    this.#setInt32(at, this.#end - at - 4)
  }

  #cstring(text: string): void {
    this.#text(text)
    this.#reserve(1)
    this.#bytes[this.#end++] = 0
  }

  /** Writes the text in UTF-8. */
  #text(text: string): void {
    const { length } = text
    this.#reserve(length > MEASURED_LENGTH ? Buffer.byteLength(text) : length * 3)
    this.#end = writeText(this.#bytes, this.#end, text)
  }

  #int16(value: number): void {
    this.#reserve(2)
    this.#bytes[this.#end++] = value >>> 8
    this.#bytes[this.#end++] = value
  }

  #int32(value: number): void {
    this.#reserve(4)
    this.#setInt32(this.#end, value)
    this.#end += 4
  }

  #setInt32(at: number, value: number): void {
    const bytes = this.#bytes
    bytes[at] = value >>> 24
    bytes[at + 1] = value >>> 16
    bytes[at + 2] = value >>> 8
    bytes[at + 3] = value
  }

  #reserve(length: number): void {
    const needed = this.#end + length
    if (needed <= this.#bytes.length) return
    // Taken bytes stay valid in the old buffer; the rest moves.
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#bytes.length))
    this.#bytes.copy(grown, 0, 0, this.#end)
    this.#bytes = grown
  }
}
