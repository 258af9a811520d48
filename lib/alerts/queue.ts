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
  /** Milliseconds for which an alert that the receiver does not take holds up those behind it. */
  patienceMs?: number
}

/** An alert with its tries so far. */
interface Item extends Waiting {
  /** `performance.now()` of the first try. */
  firstTryAt: number | undefined
  /** `performance.now()` before which it is not tried. */
  dueAt: number
  pauseMs: number
}

const MAX_WAITING = 1000
const RETRY_MS = 1000
const LONGEST_RETRY_MS = 5 * 60 * 1000

const PATIENCE_MS = 5 * 60 * 1000

/** An alert that could not be delivered for a day is given up. */
const GIVE_UP_MS = 24 * 60 * 60 * 1000

/**
 * Alerts on their way to the receiver: one at a time, critical ones first, else in order, each tried
 * again with growing pauses while the receiver does not take it. One that is not taken for 5 minutes
 * goes behind the others, since it may be this one alone that the receiver fails at. Alerts with the
 * same key stay in order. Whoever adds one never waits; beyond 1000 the oldest is dropped.
 */
export class DeliveryQueue {
  readonly counts: DeliveryCounts = { delivered: 0, failed: 0, dropped: 0, duplicate: 0 }
  readonly #options: QueueOptions
  readonly #waiting: Item[] = []
  readonly #ending = new AbortController()
  #running: Promise<void> | undefined
  /** The alert that is being delivered. */
  #current: Item | undefined
  /** Ends the pause before a try. */
  #woken = new AbortController()
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
    const { retryMs: pauseMs = RETRY_MS } = this.#options
    this.#waiting.push({ ...waiting, firstTryAt: undefined, dueAt: 0, pauseMs })
    if (this.#waiting.length > MAX_WAITING) {
      this.#waiting.splice(this.#waiting[0] === this.#current ? 1 : 0, 1)
      this.counts.dropped++
      this.#droppedSince++
    }
    this.#woken.abort()
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
  }

  /** Delivers what waits within `limitMs`; logs how many could not be. */
  async end(limitMs: number): Promise<void> {
    await Promise.race([this.#running, sleep(limitMs, undefined, { ref: false })])
    this.#ending.abort()
    this.#woken.abort()
    const left = this.#waiting.splice(0).length
    this.counts.dropped += left
    if (left > 0) this.#options.log.warn(`${left} alerts were not delivered before the shutdown`)
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending
    while (this.#waiting.length > 0 && !signal.aborted) {
      const next = this.#next()
      const waitMs = next.dueAt - performance.now()
      if (waitMs > 0) {
        this.#woken = new AbortController()
        const { signal: woken } = this.#woken
        await sleep(waitMs, undefined, { signal: woken, ref: false }).catch(() => {})
        continue
      }
      this.#current = next
      const outcome = (await next.isMine) ? await this.#try(next) : 'duplicate'
      this.#current = undefined
      if (signal.aborted) return
      if (outcome === 'again') continue
      this.counts[outcome]++
      this.#waiting.splice(this.#waiting.indexOf(next), 1)
    }
  }

  /** Returns the alert that is to be tried next; there must be one. */
  #next(): Item {
    const { patienceMs = PATIENCE_MS } = this.#options
    const lateSince = performance.now() - patienceMs
    const keys = new Set<string>()
    let inOrder: Item | undefined
    let late: Item | undefined
    for (const item of this.#waiting) {
      const { key, severity } = item.delivery
      if (keys.has(key)) continue
      keys.add(key)
      if (item.firstTryAt !== undefined && item.firstTryAt <= lateSince) {
        if (!late || item.dueAt < late.dueAt) late = item
      } else if (severity === 'critical') return item
      else inOrder ??= item
    }
    return inOrder ?? late!
  }

  async #try(item: Item): Promise<'delivered' | 'failed' | 'again'> {
    const { delivery } = item
    item.firstTryAt ??= performance.now()
    const to = this.#options.target()
    if (!to) return 'failed'
    const { signal } = this.#ending
    const outcome = await post(to, { ...delivery, dropped: this.#droppedSince }, signal)
    this.#tell(to, delivery, outcome)
    if (outcome.is === 'delivered') this.#droppedSince = 0
    if (outcome.is !== 'failed') return outcome.is === 'delivered' ? 'delivered' : 'failed'
    if (performance.now() > item.firstTryAt + GIVE_UP_MS) return 'failed'
    const asked = Math.min(outcome.retryAfterMs ?? 0, LONGEST_RETRY_MS)
    // Gateways that lost the receiver together do not come back together.
    const waitMs = Math.max(asked, item.pauseMs * (0.5 + Math.random() / 2))
    item.dueAt = performance.now() + waitMs
    item.pauseMs = Math.min(2 * item.pauseMs, LONGEST_RETRY_MS)
    return 'again'
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
