import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../log.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { addCounts, type Counts, noCounts, UsageCounters } from './counters.ts'
import { PlatformTotals } from './platform-totals.ts'
import {
  type DaySum,
  readUsage,
  readUsageDays,
  type ShownCounts,
  type UsageQuery,
  type UsageSum,
} from './read.ts'
import { SlowCalls } from './slow/slow-calls.ts'
import { deleteBefore, prepareTable, type UsageBatch, writeBatch } from './table.ts'
import { Times } from './times/times.ts'

/** Settings, see lib/config/settings/access.ts. */
interface UsageLimits {
  usageRetentionDays: number
  functionMinutesHours: number
  functionHoursDays: number
  /** 0: no call is slow. */
  slowCallMs: number
  slowCallsKept: number
}

interface UsageOptions {
  /** Runs `work` in the administrative database; may run it twice. */
  use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>
  log: Log
  /** UUID of this gateway. */
  gateway: string
  /** Returns the platform of a database that was used; undefined if it is unknown. */
  platformOf: (database: string) => string | undefined
  limits: UsageLimits
  /** Milliseconds since 1970. Default: the clock of this machine. */
  now?: () => number
}

/** A page of usage as it is shown. */
export type ShownUsage = Omit<UsageSum, 'key'> & {
  /** Counts of this gateway since its start. */
  since_start: ShownCounts
  days?: Omit<DaySum, 'key'>[]
}

/** Sums of days, in their order, by the key of their entry. */
export type DaysByKey = Map<string, Omit<DaySum, 'key'>[]>

const WRITE_EVERY_MS = 60_000
const CLEAN_EVERY_MS = 60 * 60 * 1000
const HOUR_MS = 60 * 60 * 1000
const DAY_MS = 24 * HOUR_MS
const BATCH_ROWS = 2000

/**
 * Usage of all gateways by day, in a table of the administrative database. Each gateway adds what
 * it has counted every minute, at midnight (UTC), and when it stops; a killed one loses a minute at
 * most. A batch whose outcome is unknown is repeated under its number, which adds it once.
 */
export class Usage {
  readonly counters = new UsageCounters()
  /** How long calls took; written and cleaned up together with their use. */
  readonly times: Times
  /** Calls that took long; the same. */
  readonly slow: SlowCalls
  readonly startedAt: string
  readonly #options: Required<UsageOptions>
  readonly #totals: PlatformTotals
  #day: string
  #number = 0
  /** Batches that are not known to be written, the oldest first. */
  #waiting: UsageBatch[] = []
  /** Functions of `setAside` that were not called yet, with the names that the databases had. */
  readonly #aside = new Map<(to: string) => void, string>()
  #writing: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #cleaner: NodeJS.Timeout | undefined
  #isEnded = false

  constructor(options: UsageOptions) {
    this.#options = { now: Date.now, ...options }
    const { functionMinutesHours, functionHoursDays, slowCallMs, slowCallsKept } = options.limits
    const minutesKeptMs = functionMinutesHours * HOUR_MS
    const hoursKeptMs = functionHoursDays * DAY_MS
    this.times = new Times({ ...this.#options, minutesKeptMs, hoursKeptMs })
    this.slow = new SlowCalls({
      ...this.#options,
      slowMs: slowCallMs || Infinity,
      kept: slowCallsKept,
      keptMs: hoursKeptMs,
    })
    this.#totals = new PlatformTotals(() => this.counters.entries(), options.platformOf)
    this.#day = this.today()
    this.startedAt = new Date(this.#options.now()).toISOString()
  }

  /** Creates the tables if they do not exist, and starts to write every minute. */
  async prepare(): Promise<void> {
    await this.#options.use(prepareTable)
    await this.times.prepare()
    await this.slow.prepare()
    this.#schedule()
    this.#cleaner = setInterval(() => this.#clean(), CLEAN_EVERY_MS).unref()
    this.#clean()
  }

  /** Counts a deploy to a database that has ended. */
  noteDeploy(database: string): void {
    this.counters.of(database).deploys++
  }

  /**
   * Sets what was counted for a database aside, since it was renamed: its name may be another one's
   * soon. Returns a function that gives it to a database, and must be called.
   */
  setAside(database: string): (to: string) => void {
    const taken = this.counters.take(database)
    const rows = this.#waiting.flatMap((batch) =>
      batch.rows.filter((row) => row.database === database),
    )
    const giveTo = (to: string) => {
      if (!this.#aside.delete(giveTo)) return
      if (taken) this.counters.give(to, taken)
      for (const row of rows) row.database = to
    }
    this.#aside.set(giveTo, database)
    return giveTo
  }

  /** Returns the day in UTC, such as 2026-11-26; `before` days earlier. */
  today(before = 0): string {
    return new Date(this.#options.now() - before * DAY_MS).toISOString().slice(0, 10)
  }

  /**
   * Returns a page of usage. Writes what this gateway has counted first.
   * @param perDay true: with the sums of each day
   * @throws {GatewayError} as `readUsage`
   */
  async read(query: UsageQuery, perDay: boolean): Promise<{ key: string; shown: ShownUsage }[]> {
    await this.write()
    const { sums, days } = await this.#options.use((sql) => readUsage(sql, query, perDay))
    const byKey = days && groupByKey(days)
    const since = this.#sinceStart(query)
    return sums.map(({ key, ...sum }) => {
      const { schema_name, ...rest } = sum
      const shown: ShownUsage = {
        ...rest,
        ...(schema_name && { schema_name }),
        since_start: show(since.get(key) ?? noCounts()),
        ...(byKey && { days: byKey.get(key) ?? [] }),
      }
      return { key, shown }
    })
  }

  /** Returns the sums of each day of some entries, by their keys, as they were written last. */
  async readDays(query: UsageQuery, keys: string[]): Promise<DaysByKey> {
    return groupByKey(await this.#options.use((sql) => readUsageDays(sql, query, keys)))
  }

  /** Returns the sums of the calls since the start, by platform. */
  byPlatform(): Map<string, Counts> {
    return this.#totals.read()
  }

  /** Writes what was counted up to now; logs a failure, after which it is written later. */
  async write(): Promise<void> {
    // A write that runs may not have what was counted since it began.
    await this.#writing
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined
    })
    await this.#writing
  }

  /** Writes the rest within `limitMs`, and stops. */
  async end(limitMs: number): Promise<void> {
    this.#isEnded = true
    for (const [giveTo, database] of this.#aside) giveTo(database)
    clearTimeout(this.#timer)
    clearInterval(this.#cleaner)
    const written = Promise.all([this.write(), this.times.write(), this.slow.end()])
    await Promise.race([written, sleep(limitMs, undefined, { ref: false })])
  }

  /** Writes when a minute ends, as each day does. */
  #schedule(): void {
    this.#timer = setTimeout(
      async () => {
        await Promise.all([this.write(), this.times.write()])
        if (!this.#isEnded) this.#schedule()
      },
      WRITE_EVERY_MS - (this.#options.now() % WRITE_EVERY_MS),
    ).unref()
  }

  async #writeAll(): Promise<void> {
    // Batches that could not be written come first. Meanwhile counts stay in their entries, but for
    // another day.
    const isBehind = this.#waiting.length > 0
    if (!isBehind || this.#day !== this.today()) this.#drain()
    try {
      await this.#writeWaiting()
      if (!isBehind) return
      this.#drain()
      await this.#writeWaiting()
    } catch (error) {
      this.#options.log.warn(`Usage could not be written: ${(error as Error).message}`)
    }
  }

  async #writeWaiting(): Promise<void> {
    const { use, gateway } = this.#options
    for (let batch = this.#waiting[0]; batch; batch = this.#waiting[0]) {
      const one = batch
      await use((sql) => writeBatch(sql, gateway, one))
      this.#waiting.shift()
    }
  }

  /** Puts what was counted since the last time into batches, under the day on which it was. */
  #drain(): void {
    const { platformOf } = this.#options
    const changes = this.counters.drain()
    const day = this.#day
    for (let at = 0; at < changes.length; at += BATCH_ROWS) {
      const rows = changes
        .slice(at, at + BATCH_ROWS)
        .map((change) => ({ day, platform: platformOf(change.database) ?? null, ...change }))
      this.#waiting.push({ number: ++this.#number, rows })
    }
    this.#day = this.today()
    if (this.#day !== day) this.counters.beginDay()
  }

  #sinceStart({ by, platform, database }: UsageQuery): Map<string, Counts> {
    const sums = new Map<string, Counts>()
    for (const [name, ofFunction, counts] of this.counters.entries()) {
      if (database !== undefined && name !== database) continue
      const owner = this.#options.platformOf(name)
      if (platform !== undefined && owner !== platform) continue
      const key = by === 'tenant' ? name : `${owner}/${ofFunction}`
      const sum = sums.get(key) ?? noCounts()
      addCounts(sum, counts)
      sums.set(key, sum)
    }
    return sums
  }

  async #clean(): Promise<void> {
    const { use, limits, log } = this.#options
    try {
      const day = this.today(limits.usageRetentionDays)
      while (!this.#isEnded && (await use((sql) => deleteBefore(sql, day))));
      if (!this.#isEnded) await this.times.clean()
      if (!this.#isEnded) await this.slow.clean()
    } catch (error) {
      if (!this.#isEnded) log.warn(`Old usage could not be deleted: ${(error as Error).message}`)
    }
  }
}

function groupByKey(sums: DaySum[]): DaysByKey {
  const groups: DaysByKey = new Map()
  for (const { key, ...day } of sums) {
    const group = groups.get(key)
    if (group) group.push(day)
    else groups.set(key, [day])
  }
  return groups
}

function show({ ms, calls, errors, bytes, deploys }: Counts): ShownCounts {
  return { calls, errors, database_seconds: Math.round(ms * 1000) / 1e6, bytes, deploys }
}
