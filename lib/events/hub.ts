import { GatewayError } from '../errors.ts'
import { type Change, EventStream, type Sink } from './stream.ts'

interface HubOptions {
  /** Returns the changes since the last time that nobody publishes. Called each second. */
  look: () => Promise<Change[]>
  /** Returns what a new stream begins with, beside the last of `look`. */
  begin: () => Change[]
  /** Called when the first stream has begun, and when the last has ended. */
  onHeard: (isHeard: boolean) => void
  log: { debug(message: string): void }
}

/** Streams of one gateway at once. */
export const MAX_STREAMS = 50

const TICK_MS = 1000

/** The streams of events of this gateway. While there are none, nothing is looked at or kept. */
export class EventHub {
  readonly #options: HubOptions
  readonly #streams = new Set<EventStream>()
  /** What the last looks have found, by key, for new streams. */
  readonly #last = new Map<string, Change>()
  #timer: NodeJS.Timeout | undefined
  #isLooking = false
  #isClosed = false

  constructor(options: HubOptions) {
    this.#options = options
  }

  /** Whether there are streams. */
  get isHeard(): boolean {
    return this.#streams.size > 0
  }

  get size(): number {
    return this.#streams.size
  }

  /** Tells all streams of a change, within a second. */
  publish(change: Change): void {
    for (const stream of this.#streams) stream.add(change)
  }

  /**
   * Begins a stream.
   * @returns the function that ends it, for when its client has gone
   * @throws {GatewayError} pool_exhausted
   */
  open(sink: () => Sink, mayName: ((platform: string) => boolean) | undefined): () => void {
    if (this.#isClosed) throw new GatewayError('pool_exhausted', 'The gateway is stopping')
    if (this.#streams.size >= MAX_STREAMS) {
      throw new GatewayError('pool_exhausted', `${MAX_STREAMS} streams of events are open already`)
    }
    const stream = new EventStream(sink(), mayName)
    for (const change of [...this.#last.values(), ...this.#options.begin()]) stream.add(change)
    this.#streams.add(stream)
    if (this.#streams.size === 1) {
      this.#timer = setInterval(() => this.#tick(), TICK_MS).unref()
      this.#options.onHeard(true)
    }
    this.#tick()
    return () => {
      if (this.#streams.delete(stream) && this.#streams.size === 0) this.#silence()
    }
  }

  /** Ends all streams, and begins no more. */
  close(): void {
    this.#isClosed = true
    for (const stream of this.#streams) stream.end()
    if (this.isHeard) this.#silence()
    this.#streams.clear()
  }

  #silence(): void {
    clearInterval(this.#timer)
    this.#last.clear()
    this.#options.onHeard(false)
  }

  async #tick(): Promise<void> {
    if (!this.#isLooking) await this.#look()
    for (const stream of this.#streams) stream.flush()
  }

  async #look(): Promise<void> {
    this.#isLooking = true
    try {
      for (const change of await this.#options.look()) {
        if (!this.isHeard) return
        this.#last.set(change.key, change)
        this.publish(change)
      }
    } catch (error) {
      this.#options.log.debug(`The overview could not be read: ${(error as Error).message}`)
    } finally {
      this.#isLooking = false
    }
  }
}
