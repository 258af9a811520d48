import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import packageJson from '../../package.json' with { type: 'json' }
import { GatewayError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { ALERTS, type Alert, type AlertType, type Delivery } from './alert.ts'
import { claim, claimEnd, forgetOldClaims, prepareClaims } from './claims.ts'
import { type PostOutcome, post, type Target } from './post.ts'
import { type DeliveryCounts, DeliveryQueue } from './queue.ts'

export interface AlertSettings {
  /** Undefined: nothing is sent. */
  webhookUrl: URL | undefined
  webhookSecret: string | undefined
  /** Types that are sent; undefined: all. */
  webhookEvents: AlertType[] | undefined
  /** Milliseconds after which a condition that lasts is told again. */
  webhookRepeatMs: number
}

export interface AlertsOptions {
  /** Read for each alert, so that they may change. */
  settings: () => AlertSettings
  log: Log
  /** Id of this gateway. */
  gateway: string
  /** Runs `work` in the administrative database; may run it twice. */
  use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>
  /** Returns whether PostgreSQL is known not to answer. */
  isDown: () => boolean
  /** Milliseconds before a delivery is tried again. */
  retryMs?: number
}

/** What became of a test alert. */
export interface TestOutcome {
  status: PostOutcome['is']
  /** Why it was not delivered. */
  reason?: string
  /** Host of WEBHOOK_URL. */
  receiver: string
  /** Whether it had a signature. */
  signed: boolean
}

/** Who claims an alert: a condition that lasts, the end of one, or nobody, since no other gateway can know. */
type ClaimKind = 'begin' | 'end' | 'none'

/** A gateway that cannot claim within this time sends the alert: twice is better than never. */
const CLAIM_LIMIT_MS = 3000

/** Milliseconds after which a gateway that was not the first asks again whether it is to tell. */
const ASK_AGAIN_MS = 60_000

const LOOK_EVERY_MS = 30_000
const CLEAN_EVERY_MS = 60 * 60 * 1000

/** Conditions that are remembered as told; the oldest is forgotten beyond that, and told again. */
const MAX_TOLD = 10_000

/**
 * Alerts for operators, sent to WEBHOOK_URL. Each condition has a key; the catalog decides which of
 * several gateways tells it. Nothing here throws or waits: an alert that cannot be sent holds nothing up.
 */
export class Alerts {
  readonly #options: AlertsOptions
  readonly #queue: DeliveryQueue
  /** `performance.now()` until which a condition is not told again, by key, the oldest first. */
  readonly #quietUntil = new Map<string, number>()
  /** Conditions that last, by key. */
  readonly #standing = new Map<string, Alert>()
  /** Settles when what was claimed so far is decided; never rejects. */
  #claims: Promise<unknown> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #cleaner: NodeJS.Timeout | undefined

  constructor(options: AlertsOptions) {
    this.#options = options
    this.#queue = new DeliveryQueue({
      log: options.log,
      target: () => this.#target(),
      ...(options.retryMs !== undefined && { retryMs: options.retryMs }),
    })
  }

  /** Whether alerts are sent at all. */
  get isOn(): boolean {
    return this.#options.settings().webhookUrl !== undefined
  }

  /** What became of alerts since the start. */
  get counts(): DeliveryCounts {
    return this.#queue.counts
  }

  /** Number of alerts that wait to be delivered. */
  get waiting(): number {
    return this.#queue.length
  }

  /** Creates the table of claims if it does not exist, and starts to repeat what lasts. */
  async prepare(): Promise<void> {
    await this.#options.use(prepareClaims)
    this.#timer = setInterval(() => this.#repeat(), LOOK_EVERY_MS).unref()
    this.#cleaner = setInterval(() => {
      this.#options.use(forgetOldClaims).catch(() => {})
    }, CLEAN_EVERY_MS).unref()
  }

  /** Tells something that happens at one gateway alone, or that PostgreSQL cannot decide about. */
  tell(alert: Alert): void {
    this.#add(alert, 'none')
  }

  /**
   * Tells a condition, unless it was told within WEBHOOK_REPEAT_SECS by any gateway.
   * @param told what gateways agree by that they mean the same, if the alert's key does not say enough
   */
  raise(alert: Alert, told = alert.key): void {
    if (!this.isOn) return
    const quietUntil = this.#quietUntil.get(told) ?? 0
    if (performance.now() < quietUntil) return
    this.#keepQuiet(told, ASK_AGAIN_MS)
    this.#add(alert, 'begin', told)
  }

  /** Tells a condition, and again every WEBHOOK_REPEAT_SECS until `end`. */
  begin(alert: Alert): void {
    if (!this.isOn) return
    this.#standing.set(alert.key, alert)
    this.raise(alert)
  }

  /**
   * Ends a condition, and tells it if its begin was told and `alert` is given. Without one, or where
   * WEBHOOK_EVENTS leaves its type out, the end is entered into the catalog alone, so that the condition
   * is told when it comes back.
   */
  end(key: string, alert?: Omit<Alert, 'key'>): void {
    this.#standing.delete(key)
    this.#quietUntil.delete(key)
    if (alert && this.#isSent(alert.type)) this.#add({ ...alert, key }, 'end')
    else if (this.isOn) this.#claim(key, randomUUID(), 'end')
  }

  /**
   * Sends a test alert at once, before those that wait, and tries once.
   * @throws {GatewayError} invalid_request if WEBHOOK_URL is not set
   */
  async test(): Promise<TestOutcome> {
    const target = this.#target()
    if (!target) throw new GatewayError('invalid_request', 'WEBHOOK_URL is not set')
    const alert = { type: 'test', key: 'test', text: 'A test of the alerts', data: {} } as const
    const outcome = await post(target, this.#delivery(alert), new AbortController().signal)
    return {
      status: outcome.is,
      ...(outcome.is !== 'delivered' && { reason: outcome.why }),
      receiver: target.url.host,
      signed: target.secret !== undefined,
    }
  }

  /** Delivers what waits within `limitMs`, and stops. */
  async stop(limitMs: number): Promise<void> {
    clearInterval(this.#timer)
    clearInterval(this.#cleaner)
    await this.#queue.end(limitMs)
  }

  #target(): Target | undefined {
    const { webhookUrl: url, webhookSecret: secret } = this.#options.settings()
    return url && { url, secret }
  }

  #add(alert: Alert, kind: ClaimKind, told = alert.key): void {
    if (!this.#isSent(alert.type)) return
    const delivery = this.#delivery(alert)
    this.#queue.add({ delivery, isMine: this.#claim(told, delivery.id, kind) })
  }

  #isSent(type: AlertType): boolean {
    return this.isOn && this.#options.settings().webhookEvents?.includes(type) !== false
  }

  #delivery(alert: Alert): Delivery {
    return {
      id: randomUUID(),
      ...alert,
      severity: ALERTS[alert.type][0],
      at: new Date().toISOString(),
      gateway: {
        id: this.#options.gateway,
        host: hostname(),
        version: packageJson.version,
      },
      dropped: 0,
    }
  }

  /**
   * Claims an alert, after those before it: at once and not when it is its turn to be sent, which may be
   * hours later, when other gateways have told both begin and end.
   */
  #claim(key: string, alert: string, kind: ClaimKind): Promise<boolean> {
    if (kind === 'none' || this.#options.isDown()) return Promise.resolve(true)
    const isMine = this.#claims.then(() => this.#isMine(key, alert, kind))
    this.#claims = isMine
    return isMine
  }

  async #isMine(key: string, alert: string, kind: 'begin' | 'end'): Promise<boolean> {
    const { gateway, use, isDown, settings } = this.#options
    if (isDown()) return true
    const repeatMs = settings().webhookRepeatMs
    const about = { key, alert, gateway, repeatSeconds: repeatMs / 1000 }
    const claimed = use((sql) => (kind === 'begin' ? claim(sql, about) : claimEnd(sql, about)))
    const isMine = await Promise.race([
      claimed.catch(() => true),
      sleep(CLAIM_LIMIT_MS, true, { ref: false }),
    ])
    // The condition may have ended in the meantime.
    if (isMine && this.#quietUntil.has(key)) this.#keepQuiet(key, repeatMs)
    return isMine
  }

  #keepQuiet(key: string, ms: number): void {
    this.#quietUntil.delete(key)
    this.#quietUntil.set(key, performance.now() + ms)
    const [oldest] = this.#quietUntil.keys()
    if (this.#quietUntil.size > MAX_TOLD) this.#quietUntil.delete(oldest!)
  }

  #repeat(): void {
    for (const alert of this.#standing.values()) this.raise(alert)
  }
}
