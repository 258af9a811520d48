import type { RequestLine } from './line.ts'
import { onExit } from './writer.ts'

/** How long lines that were left out may wait to be told of. */
const TELL_AFTER_MS = 10_000

/**
 * Leaves out the lines of requests that succeeded beyond a number a second. Errors and slow requests
 * always have their line.
 */
export class LeftOut {
  readonly #tell: (leftOut: number) => void
  #maxPerSecond = Infinity
  #slowMs = Infinity
  #second = 0
  #inSecond = 0
  #leftOut = 0
  #timer: NodeJS.Timeout | undefined
  #forget: (() => void) | undefined

  /** @param tell called with the number of lines that were left out since it was called last */
  constructor(tell: (leftOut: number) => void) {
    this.#tell = tell
  }

  set(maxPerSecond: number, slowMs: number): void {
    this.#maxPerSecond = maxPerSecond
    this.#slowMs = slowMs
  }

  /** Whether the line is to be left out. */
  isLeftOut({ status, error, ms }: RequestLine): boolean {
    if (this.#maxPerSecond === Infinity) return false
    if (status >= 400 || error !== undefined || ms >= this.#slowMs) return false
    const second = Math.floor(performance.now() / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#inSecond = 0
    }
    if (this.#inSecond++ < this.#maxPerSecond) return false
    this.#leftOut++
    this.#timer ??= setTimeout(() => this.#tellNow(), TELL_AFTER_MS).unref()
    this.#forget ??= onExit(() => this.#tellNow())
    return true
  }

  #tellNow(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#forget?.()
    this.#forget = undefined
    const leftOut = this.#leftOut
    this.#leftOut = 0
    if (leftOut > 0) this.#tell(leftOut)
  }
}
