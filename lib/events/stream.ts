/** Something that has changed. */
export interface Change {
  name: 'overview' | 'fleet' | 'job' | 'audit'
  /** Of changes with one key, a stream gets the last. */
  key: string
  /** Platform that the change is about; null: none. */
  platform: string | null
  data: object
}

/** Where a stream is written to. */
export interface Sink {
  write(text: string): void
  /** Bytes that the client has not taken yet. */
  readonly buffered: number
  end(): void
  /** Cuts the connection. */
  destroy(): void
}

/** Who reads a stream. */
export interface Listener {
  /** Address of the client; '' where it is not known. */
  address: string
  /** Whether the client may be told of a platform; undefined: of all. */
  mayName: ((platform: string) => boolean) | undefined
}

/** Bytes that may wait for the client; beyond, changes wait, and the last of a key replaces others. */
const MAX_BUFFERED = 64 * 1024

/** Keys that wait for a slow reader; the oldest are dropped. */
const MAX_PENDING = 1000

/** Milliseconds between two signs of life. */
const HEARTBEAT_MS = 5000

/** A reader that takes nothing for so long is cut off. */
const PATIENCE_MS = 60_000

/** Milliseconds after which the client opens a stream that was cut again. */
const RETRY_MS = 2000

/** One stream of server-sent events: what its client has not been told yet. */
export class EventStream {
  readonly address: string
  readonly #sink: Sink
  readonly #beganAt = performance.now()
  readonly #mayName: ((platform: string) => boolean) | undefined
  readonly #pending = new Map<string, Change>()
  #wroteAt = 0
  /** Since when the client has had too much to read; undefined while it reads. */
  #fullSince: number | undefined

  constructor(sink: Sink, { address, mayName }: Listener) {
    this.address = address
    this.#sink = sink
    this.#mayName = mayName
    this.#write(`retry: ${RETRY_MS}\n\n`)
  }

  /** Milliseconds since the stream began. */
  get age(): number {
    return performance.now() - this.#beganAt
  }

  /** Has the client told of a change at the next `flush`. */
  add(change: Change): void {
    if (change.platform !== null && this.#mayName && !this.#mayName(change.platform)) return
    // Behind all others: a later change of a key is not older than what came in between.
    this.#pending.delete(change.key)
    this.#pending.set(change.key, change)
    if (this.#pending.size <= MAX_PENDING) return
    const [oldest] = this.#pending.keys()
    this.#pending.delete(oldest!)
  }

  /** Sends what is pending, as far as the client has room for it, or a sign of life. */
  flush(): void {
    const now = performance.now()
    if (this.#sink.buffered > MAX_BUFFERED) {
      this.#fullSince ??= now
      if (now - this.#fullSince > PATIENCE_MS) this.#sink.destroy()
      return
    }
    this.#fullSince = undefined
    let text = ''
    for (const [key, { name, data }] of this.#pending) {
      text += `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
      this.#pending.delete(key)
      if (text.length > MAX_BUFFERED) break
    }
    if (text !== '') this.#write(text)
    else if (now - this.#wroteAt > HEARTBEAT_MS) this.#write(': alive\n\n')
  }

  /** Ends the stream; one whose client does not read is cut off, since its end would wait for that. */
  end(): void {
    if (this.#sink.buffered > MAX_BUFFERED) this.#sink.destroy()
    else this.#sink.end()
  }

  #write(text: string): void {
    this.#wroteAt = performance.now()
    this.#sink.write(text)
  }
}
