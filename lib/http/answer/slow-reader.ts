/** A client that reads at this rate on average is never too slow. */
export const MIN_BYTES_PER_SECOND = 1000

const BYTES_PER_MS = MIN_BYTES_PER_SECOND / 1000

/** Number of checks within `patienceMs`. */
const LOOKS = 8

/** Maximum bytes per write: `taken` advances only when a whole write has gone out. */
const MAX_SLICE_BYTES = 16 * 1024
const MIN_SLICE_BYTES = 1024

/**
 * Tells whether a client reads its answer fast enough. A client has a credit of `patienceMs`. Each
 * millisecond of waiting for it costs one millisecond of credit, and each byte that it takes earns
 * one. A client that takes nothing is too slow after `patienceMs`; one at half of
 * MIN_BYTES_PER_SECOND after twice that; one at a higher rate never, however long its answer is.
 * Bytes in the socket buffer of the operating system count as taken.
 */
export class SlowReader {
  readonly #patienceMs: number
  readonly #taken: () => number
  readonly #onTooSlow: () => void
  #leftMs: number
  #lastTaken: number
  /** `performance.now()` up to which waiting is charged; undefined while there is no wait. */
  #waitingSince: number | undefined
  #timer: NodeJS.Timeout | undefined
  #isTooSlow = false

  /**
   * @param taken returns the bytes that the client has taken so far
   * @param onTooSlow called once, during a wait
   */
  constructor(patienceMs: number, taken: () => number, onTooSlow: () => void) {
    this.#patienceMs = patienceMs
    this.#leftMs = patienceMs
    this.#taken = taken
    this.#lastTaken = taken()
    this.#onTooSlow = onTooSlow
  }

  get isTooSlow(): boolean {
    return this.#isTooSlow
  }

  /** Maximum bytes to write at once: `taken` advances only when a whole write has gone out. */
  get sliceBytes(): number {
    const half = Math.floor((this.#patienceMs * BYTES_PER_MS) / 2)
    return Math.min(MAX_SLICE_BYTES, Math.max(MIN_SLICE_BYTES, half))
  }

  /** Begins a wait for the client. */
  wait(): void {
    this.#look()
    this.#waitingSince = performance.now()
    this.#timer ??= setInterval(() => this.#look(), this.#patienceMs / LOOKS).unref()
  }

  /** Ends a wait: the client has taken the bytes. */
  resume(): void {
    this.#look()
    this.#waitingSince = undefined
  }

  /** Stops the checks: nothing more is sent. */
  end(): void {
    this.#waitingSince = undefined
    clearInterval(this.#timer)
  }

  #look(): void {
    const taken = this.#taken()
    const earnedMs = (taken - this.#lastTaken) / BYTES_PER_MS
    this.#lastTaken = taken
    let spentMs = 0
    if (this.#waitingSince !== undefined) {
      const now = performance.now()
      spentMs = now - this.#waitingSince
      this.#waitingSince = now
    }
    this.#leftMs = Math.min(this.#patienceMs, this.#leftMs - spentMs + earnedMs)
    if (this.#leftMs > 0 || this.#isTooSlow) return
    this.#isTooSlow = true
    this.#onTooSlow()
  }
}
