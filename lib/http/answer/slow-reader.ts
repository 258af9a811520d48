/** A client that reads as much in each second, on average, is never too slow. */
export const MIN_BYTES_PER_SECOND = 1000

const BYTES_PER_MS = MIN_BYTES_PER_SECOND / 1000

/** How often it is looked in the time that a client has. */
const LOOKS = 8

/** The most that is handed to a socket at once: what the client takes of it shows only in whole. */
const MAX_SLICE_BYTES = 16 * 1024
const MIN_SLICE_BYTES = 1024

/**
 * Whether a client reads its answer fast enough. The client has `patienceMs` to be waited for. Each
 * millisecond in which the gateway waits for it uses one up, each byte that it takes gives one back.
 * So a client that takes nothing is too slow after `patienceMs`, one that takes half of
 * MIN_BYTES_PER_SECOND after twice that, and one that takes more never, however long its answer.
 * What the system's socket buffer has counts as taken.
 */
export class SlowReader {
  readonly #patienceMs: number
  readonly #taken: () => number
  readonly #onTooSlow: () => void
  #leftMs: number
  #lastTaken: number
  /** `performance.now()` up to which the wait has been counted; undefined: it is not waited for. */
  #waitingSince: number | undefined
  #timer: NodeJS.Timeout | undefined
  #isTooSlow = false

  /**
   * `taken`: bytes that the client has taken so far. `onTooSlow` is called once, while the gateway
   * waits.
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

  /** The most bytes that should be written at once: what is taken of them shows only in whole. */
  get sliceBytes(): number {
    const half = Math.floor((this.#patienceMs * BYTES_PER_MS) / 2)
    return Math.min(MAX_SLICE_BYTES, Math.max(MIN_SLICE_BYTES, half))
  }

  /** From now on the gateway waits for the client. */
  wait(): void {
    this.#look()
    this.#waitingSince = performance.now()
    this.#timer ??= setInterval(() => this.#look(), this.#patienceMs / LOOKS).unref()
  }

  /** The client has taken what it was waited for. */
  resume(): void {
    this.#look()
    this.#waitingSince = undefined
  }

  /** Nothing more is sent. */
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
