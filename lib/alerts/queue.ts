import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../log.ts'
import type { Delivery } from './alert.ts'
import { type PostOutcome, post, type Target } from './post.ts'

/** An alert that waits to be delivered. */
export interface Waiting {
  delivery: Delivery
  /** Whether this gateway is to deliver the alert; never rejects. */
  isMine: Promise<boolean>
}

/** What became of alerts since the start. */
export interface DeliveryCounts {
  delivered: number
  /** Refused by the receiver, or not delivered in time. */
  failed: number
  /** Dropped because too many waited. */
  dropped: number
  /** Told by another gateway, or told before. */
  duplicate: number
}

interface QueueOptions {
  target: () => Target | undefined
  log: Log
  /** Milliseconds before the second try; doubles with each try. */
  retryMs?: number
}

const MAX_WAITING = 1000
const RETRY_MS = 1000
const LONGEST_RETRY_MS = 5 * 60 * 1000

/** An alert that could not be delivered for a day is given up. */
const GIVE_UP_MS = 24 * 60 * 60 * 1000

/**
 * Alerts on their way to the receiver: one at a time, in order, each tried again with growing pauses
 * while the receiver does not answer. Whoever adds one never waits; beyond 1000 the oldest is dropped.
 */
export class DeliveryQueue {
  readonly counts: DeliveryCounts = { delivered: 0, failed: 0, dropped: 0, duplicate: 0 }
  readonly #options: QueueOptions
  readonly #waiting: Waiting[] = []
  readonly #ending = new AbortController()
  #running: Promise<void> | undefined
  #droppedSince = 0
  #isFailing = false

  constructor(options: QueueOptions) {
    this.#options = options
  }

  /** Number of alerts that wait or are being sent. */
  get length(): number {
    return this.#waiting.length
  }

  add(waiting: Waiting): void {
    if (this.#ending.signal.aborted) return
    this.#waiting.push(waiting)
    if (this.#waiting.length > MAX_WAITING) {
      // The first is being delivered.
      this.#waiting.splice(1, 1)
      this.counts.dropped++
      this.#droppedSince++
    }
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
  }

  /** Delivers what waits within `limitMs`; logs how many could not be. */
  async end(limitMs: number): Promise<void> {
    await Promise.race([this.#running, sleep(limitMs, undefined, { ref: false })])
    this.#ending.abort()
    const left = this.#waiting.splice(0).length
    this.counts.dropped += left
    if (left > 0) this.#options.log.warn(`${left} alerts were not delivered before the shutdown`)
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending
    while (this.#waiting.length > 0 && !signal.aborted) {
      const first = this.#waiting[0]!
      const outcome = (await first.isMine) ? await this.#deliver(first) : 'duplicate'
      if (signal.aborted) return
      this.counts[outcome]++
      this.#waiting.shift()
    }
  }

  async #deliver({ delivery }: Waiting): Promise<'delivered' | 'failed'> {
    const { target, retryMs = RETRY_MS } = this.#options
    const { signal } = this.#ending
    const giveUpAt = performance.now() + GIVE_UP_MS
    for (let pause = retryMs; !signal.aborted; pause = Math.min(2 * pause, LONGEST_RETRY_MS)) {
      const to = target()
      if (!to) return 'failed'
      const outcome = await post(to, { ...delivery, dropped: this.#droppedSince }, signal)
      this.#tell(to, delivery, outcome)
      if (outcome.is === 'delivered') this.#droppedSince = 0
      if (outcome.is !== 'failed') return outcome.is === 'delivered' ? 'delivered' : 'failed'
      if (performance.now() > giveUpAt) return 'failed'
      const asked = Math.min(outcome.retryAfterMs ?? 0, LONGEST_RETRY_MS)
      // Gateways that lost the receiver together do not come back together.
      const wait = Math.max(asked, pause * (0.5 + Math.random() / 2))
      await sleep(wait, undefined, { signal, ref: false }).catch(() => {})
    }
    return 'failed'
  }

  /** Logs the first failure in a row, what was refused, and the end of the failures. */
  #tell({ url }: Target, { type }: Delivery, outcome: PostOutcome): void {
    const { log } = this.#options
    const receiver = url.host
    if (this.#ending.signal.aborted) return
    if (outcome.is === 'refused') {
      log.warn(`WEBHOOK_URL: the receiver refuses an alert: ${outcome.why}`, { receiver, type })
    } else if (outcome.is === 'failed' && !this.#isFailing) {
      log.warn(`WEBHOOK_URL: an alert could not be delivered: ${outcome.why}; it is tried again`, {
        receiver,
        type,
      })
    } else if (outcome.is === 'delivered' && this.#isFailing) {
      log.info('WEBHOOK_URL: alerts are delivered again', { receiver })
    }
    this.#isFailing = outcome.is === 'failed'
  }
}
