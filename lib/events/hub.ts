import { GatewayError } from '../errors.ts'
import { findDisplaced } from './places.ts'
import { type Change, EventStream, type Listener, type Sink } from './stream.ts'

interface HubOptions {
  /** Returns the changes since the last time that nobody publishes. Called each second. */
  look: () => Promise<Change[]>
  /** Returns what a new stream begins with, beside the last of `look`. */
  begin: () => Change[]
  /** Called when the first stream has begun, and when the last has ended. */
  onHeard: (isHeard: boolean) => void
  log: { debug(message: string): void }
  /** Streams at once; default: MAX_STREAMS. */
  maxStreams?: number
  /** Milliseconds after which a stream ends; its client opens another. */
  longestMs?: number
}

/** Streams of one gateway at once, of all its workers together. */
export const MAX_STREAMS = 50

const TICK_MS = 1000

const LONGEST_MS = 60 * 60 * 1000

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
   * Begins a stream. Where all places are taken, the address with the most streams gives one to an
   * address with fewer.
   * @returns the function that ends it, for when its client has gone
   * @throws {GatewayError} pool_exhausted
   */
  open(sink: () => Sink, listener: Listener): () => void {
    if (this.#isClosed) throw new GatewayError('pool_exhausted', 'The gateway is stopping')
    const { maxStreams = MAX_STREAMS } = this.#options
    if (this.#streams.size >= maxStreams) {
      const displaced = findDisplaced(this.#streams, listener.address)
      if (!displaced) {
        const message = `${maxStreams} streams of events are open already`
        throw new GatewayError('pool_exhausted', message)
      }
      this.#streams.delete(displaced)
      displaced.end()
    }
    const stream = new EventStream(sink(), listener)
    for (const change of [...this.#last.values(), ...this.#options.begin()]) stream.add(change)
    this.#streams.add(stream)
    if (this.#streams.size === 1) {
      this.#timer = setInterval(() => this.#tick(), TICK_MS).unref()
      this.#options.onHeard(true)
    }
    this.#tick()
    return () => this.#remove(stream)
  }

  /** Ends all streams, and begins no more. */
  close(): void {
    this.#isClosed = true
    for (const stream of this.#streams) stream.end()
    if (this.isHeard) this.#silence()
    this.#streams.clear()
  }

  #end(stream: EventStream): void {
    stream.end()
    this.#remove(stream)
  }

  #remove(stream: EventStream): void {
    if (this.#streams.delete(stream) && this.#streams.size === 0) this.#silence()
  }

  #silence(): void {
    clearInterval(this.#timer)
    this.#last.clear()
    this.#options.onHeard(false)
  }

  async #tick(): Promise<void> {
    if (!this.#isLooking) await this.#look()
    const { longestMs = LONGEST_MS } = this.#options
    for (const stream of this.#streams) {
      stream.flush()
      if (stream.age > longestMs) this.#end(stream)
    }
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
