import type { Log } from '../../log.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { CallTimes } from './call-times.ts'
import type { Sums } from './most.ts'
import {
  type CollectedTimes,
  collectTimes,
  type LiveRows,
  readFirst,
  type ShownTimesOf,
  showTimes,
  type TimesQuery,
} from './read.ts'
import { parseSpan, type Span } from './request.ts'
import { rollUp } from './roll-up.ts'
import type { StepRow } from './rows.ts'
import { deleteOldTimes, type MinuteBatch, prepareTables, STEP_MS, writeMinute } from './table.ts'
import type { TallyRow } from './tally.ts'

export interface TimesOptions {
  /** Runs `work` in the administrative database; may run it twice. */
  use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>
  log: Log
  /** UUID of this gateway. */
  gateway: string
  /** Returns the platform of a database that was used; undefined if it is unknown. */
  platformOf: (database: string) => string | undefined
  /** Milliseconds for which minutes and hours are kept. */
  minutesKeptMs: number
  hoursKeptMs: number
  /** Milliseconds since 1970. */
  now: () => number
}

/** Minutes that wait while PostgreSQL is away; older ones are given up. */
const MAX_WAITING = 60

/**
 * How long calls took, of all gateways by minute and by hour, in tables of the administrative
 * database. Each gateway writes its own minutes when they have ended; one of them sums up hours.
 * `Usage` says when.
 */
export class Times {
  readonly calls: CallTimes
  readonly #options: TimesOptions
  /** Minute of what is counted now, in milliseconds since 1970. */
  #minute: number
  /** Number of the next row; it goes on over minutes, also where the clock is set back. */
  #slot = 0
  /** What is not known to be written, the oldest first. */
  #waiting: MinuteBatch[] = []
  #reading: Promise<unknown> = Promise.resolve()

  constructor(options: TimesOptions) {
    this.#options = options
    this.calls = new CallTimes(options.platformOf)
    this.#minute = this.#thisMinute()
  }

  prepare(): Promise<void> {
    return this.#options.use(prepareTables)
  }

  /** Writes what was counted up to now; logs a failure, after which it is written later. */
  async write(): Promise<void> {
    const { use, gateway, log } = this.#options
    this.#drain()
    try {
      for (let batch = this.#waiting[0]; batch; batch = this.#waiting[0]) {
        const one = batch
        await use((sql) => writeMinute(sql, gateway, one))
        if (this.#waiting[0] === one) this.#waiting.shift()
      }
    } catch (error) {
      log.warn(`Durations of calls could not be written: ${(error as Error).message}`)
    }
  }

  /**
   * Parses the time of a request.
   * @throws {GatewayError} as `parseSpan`
   */
  span(given: Parameters<typeof parseSpan>[0]): Span {
    const { now, minutesKeptMs } = this.#options
    return parseSpan(given, now(), minutesKeptMs)
  }

  /** Returns what all gateways have written, and what this one has counted since. */
  async read(query: TimesQuery): Promise<ShownTimesOf> {
    return showTimes(await this.collect(query), query)
  }

  /** As `read`, before it is shown. @param keys of the functions; default: the first ones */
  collect(query: TimesQuery, keys?: ReadonlySet<string>): Promise<CollectedTimes> {
    return this.#inTurn((sql, live) => collectTimes(sql, query, live, keys))
  }

  /** Returns the functions that are first in the order that is asked for, with what they are ordered by. */
  first(query: TimesQuery): Promise<Sums> {
    return this.#inTurn((sql, live) => readFirst(sql, query, live))
  }

  /** Sums up hours that have ended, and deletes what is too old. */
  async clean(): Promise<void> {
    const { use, minutesKeptMs, hoursKeptMs } = this.#options
    await use(rollUp)
    while (await use((sql) => deleteOldTimes(sql, 'minute', minutesKeptMs)));
    while (await use((sql) => deleteOldTimes(sql, 'hour', hoursKeptMs)));
  }

  /** One request is read at a time: of a month it is hundreds of thousands of rows. */
  #inTurn<T>(read: (sql: Sql, live: LiveRows) => Promise<T>): Promise<T> {
    const shown = this.#reading.then(() => this.#read(read))
    this.#reading = shown.catch(() => {})
    return shown
  }

  #read<T>(read: (sql: Sql, live: LiveRows) => Promise<T>): Promise<T> {
    const counted = rowsAt(this.#minute, this.calls.read())
    const waiting = this.#waiting.flatMap(({ at, rows }) => rowsAt(at, rows))
    const { use, gateway } = this.#options
    // What is written meanwhile must not count twice.
    const live = {
      rows: [...waiting, ...counted],
      own: { gateway, slot: this.#waiting[0]?.slot ?? this.#slot },
    }
    return use((sql) => read(sql, live))
  }

  #thisMinute(): number {
    const now = this.#options.now()
    return now - (now % STEP_MS.minute)
  }

  #drain(): void {
    const rows = this.calls.drain()
    if (rows.length > 0) {
      this.#waiting.push({ at: this.#minute, slot: this.#slot, rows })
      this.#slot += rows.length
    }
    if (this.#waiting.length > MAX_WAITING) this.#waiting.shift()
    this.#minute = this.#thisMinute()
  }
}

function rowsAt(at: number, rows: TallyRow[]): StepRow[] {
  return rows.map((row) => ({ ...row, at, tenantId: null }))
}
