import { setTimeout as sleep } from 'node:timers/promises'
import { retryAfterMs } from '../common/retry-after.ts'
import type { Log } from '../log.ts'
import { type EndedSpan, toOtlp } from './otlp.ts'
import type { Posted } from './post.ts'
import type { Attributes } from './scope.ts'

export interface ExporterOptions {
  post: (text: string) => Promise<Posted>
  log: Log
  resource: Attributes
  /** Name and version of what makes the spans. */
  scope: Attributes
  maxQueue: number
  maxBatch: number
  delayMs: number
}

/** Answers after which the same request may be sent again (OTLP/HTTP, "Failures"). */
const TEMPORARY = new Set([429, 502, 503, 504])

const MAX_TRIES = 5
const FIRST_PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 30_000

/** The log says at most this often that spans were dropped. */
const TELL_EVERY_MS = 60_000

/**
 * Sends spans to a collector in batches, one request at a time. Never makes anybody wait: what does
 * not fit into the queue, or cannot be sent, is dropped and counted.
 */
export class Exporter {
  readonly #options: ExporterOptions
  readonly #ending = new AbortController()
  #queue: EndedSpan[] = []
  #timer: NodeJS.Timeout | undefined
  #sending: Promise<void> | undefined
  #dropped = 0
  #toldAt = Number.NEGATIVE_INFINITY

  constructor(options: ExporterOptions) {
    this.#options = options
  }

  /** Number of spans that wait. */
  get waiting(): number {
    return this.#queue.length
  }

  add(span: EndedSpan): void {
    const { maxQueue, maxBatch, delayMs } = this.#options
    if (this.#queue.length >= maxQueue) {
      this.#drop(1, 'the collector takes fewer than there are')
      return
    }
    this.#queue.push(span)
    if (this.#queue.length >= maxBatch) this.#sendAll()
    else this.#timer ??= setTimeout(() => this.#sendAll(), delayMs).unref()
  }

  /** Sends what waits, within `limitMs`; what is left then is dropped. */
  async end(limitMs: number): Promise<void> {
    const isLate = sleep(limitMs, undefined, { ref: false })
    this.#sendAll()
    await Promise.race([this.#sending, isLate])
    this.#ending.abort()
    if (this.#queue.length > 0) this.#drop(this.#queue.length, 'the gateway stops')
    this.#queue = []
  }

  #sendAll(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#sending ??= this.#sendBatches().finally(() => {
      this.#sending = undefined
      // Those that came while the last batch was under way.
      if (this.#queue.length > 0 && !this.#ending.signal.aborted) {
        this.#timer ??= setTimeout(() => this.#sendAll(), this.#options.delayMs).unref()
      }
    })
  }

  async #sendBatches(): Promise<void> {
    const { maxBatch } = this.#options
    while (this.#queue.length > 0 && !this.#ending.signal.aborted) {
      const batch = this.#queue.slice(0, maxBatch)
      this.#queue = this.#queue.slice(maxBatch)
      const problem = await this.#send(batch)
      if (problem !== undefined) this.#drop(batch.length, problem)
    }
  }

  /** Returns why the batch could not be sent; undefined if it was. */
  async #send(batch: EndedSpan[]): Promise<string | undefined> {
    const { post, resource, scope } = this.#options
    const text = toOtlp(batch, resource, scope)
    for (let tries = 1; ; tries++) {
      let problem: string
      let pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (tries - 1), LONGEST_PAUSE_MS)
      pauseMs *= 0.5 + Math.random() / 2
      try {
        const { status, retryAfter, body } = await post(text)
        if (status >= 200 && status < 300) {
          this.#notePartial(body)
          return undefined
        }
        problem = `the collector answers ${status}`
        if (!TEMPORARY.has(status)) return problem
        pauseMs = Math.min(retryAfterMs(retryAfter) ?? pauseMs, LONGEST_PAUSE_MS)
      } catch (error) {
        const { code, name, message } = error as NodeJS.ErrnoException
        problem = `the collector does not answer (${name === 'TimeoutError' ? name : (code ?? message)})`
      }
      if (tries === MAX_TRIES) return problem
      try {
        await sleep(pauseMs, undefined, { signal: this.#ending.signal, ref: false })
      } catch {
        return problem
      }
    }
  }

  /** A collector may take a part of a batch and say how many it has refused. */
  #notePartial(body: string): void {
    try {
      const { rejectedSpans, errorMessage } = JSON.parse(body).partialSuccess ?? {}
      const rejected = Number(rejectedSpans ?? 0)
      if (rejected > 0) this.#drop(rejected, `the collector refuses them: ${errorMessage ?? ''}`)
    } catch {
      // Not JSON: some collectors answer with nothing.
    }
  }

  #drop(spans: number, why: string): void {
    this.#dropped += spans
    const now = performance.now()
    if (now - this.#toldAt < TELL_EVERY_MS && !this.#ending.signal.aborted) return
    this.#toldAt = now
    this.#options.log.warn(`Spans are dropped: ${why}`, { dropped: this.#dropped })
    this.#dropped = 0
  }
}
