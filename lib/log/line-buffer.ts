import { writeText } from '../common/write-text.ts'

const INITIAL_BYTES = 16 * 1024
/** Largest buffer in bytes that is used again. */
const MAX_KEPT_BYTES = 256 * 1024

/**
 * Text that is put together in one reused buffer: a line joined from strings takes a small object of V8
 * for each of its pieces.
 */
export class LineBuffer {
  #bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES)
  #end = 0

  get isEmpty(): boolean {
    return this.#end === 0
  }

  /** Adds a text; returns this. */
  add(text: string): this {
    // A UTF-16 unit is three bytes at most.
    this.#reserve(text.length * 3)
    this.#end = writeText(this.#bytes, this.#end, text)
    return this
  }

  /** Returns the text since the last call. */
  take(): string {
    const text = this.#bytes.toString('utf8', 0, this.#end)
    this.#end = 0
    if (this.#bytes.length > MAX_KEPT_BYTES) this.#bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES)
    return text
  }

  #reserve(length: number): void {
    const needed = this.#end + length
    if (needed <= this.#bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#bytes.length))
    this.#bytes.copy(grown, 0, 0, this.#end)
    this.#bytes = grown
  }
}
