import { randomUUID } from 'node:crypto'
import { GatewayError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import {
  deleteOldSlow,
  prepareSlow,
  readSlow,
  type ShownSlowCall,
  type SlowCall,
  type SlowQuery,
  writeSlow,
} from './table.ts'

export interface SlowCallsOptions {
  /** Runs `work` in the administrative database; may run it twice. Throws as `fromPostgres`. */
  use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>
  log: Log
  /** Returns the platform of a database that was used; undefined if it is unknown. */
  platformOf: (database: string) => string | undefined
  /** Milliseconds from which on a call is slow; Infinity: none is. */
  slowMs: number
  /** Number of slow calls of each platform that are kept. */
  kept: number
  /** Milliseconds for which they are kept at most. */
  keptMs: number
  /** Milliseconds since 1970. */
  now: () => number
}

/** A slow call as it is noted. */
export type NotedCall = Omit<SlowCall, 'id' | 'at' | 'platform'>

/** Milliseconds that a slow call waits for others, to be written in one statement. */
const WRITE_AFTER_MS = 2000

/** Maximum number of calls that wait to be written; the oldest are given up. */
const MAX_WAITING = 500

/** Maximum number of lines in the log a second: where PostgreSQL is slow, all calls are. */
const MAX_LINES_A_SECOND = 20

/** Logs slow calls, without values, and keeps the last ones in the administrative database. */
export class SlowCalls {
  /** Milliseconds from which a call is slow. It may change while the gateway runs. */
  slowMs: number
  readonly #options: SlowCallsOptions
  #waiting: SlowCall[] = []
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  #second = 0
  #lines = 0
  #isEnded = false

  constructor(options: SlowCallsOptions) {
    this.#options = options
    this.slowMs = options.slowMs
  }

  prepare(): Promise<void> {
    return this.#options.use(prepareSlow)
  }

  /** Notes a call that took `slowMs` or longer. */
  note(noted: NotedCall): void {
    const { platformOf, now } = this.#options
    const platform = platformOf(noted.database)
    if (platform === undefined) return
    const call = { id: randomUUID(), at: new Date(now()).toISOString(), platform, ...noted }
    this.#log(call)
    this.#waiting.push(call)
    if (this.#waiting.length > MAX_WAITING) this.#waiting.shift()
    if (!this.#isEnded) this.#timer ??= setTimeout(() => this.write(), WRITE_AFTER_MS).unref()
  }

  /** Writes the calls that were noted up to now; logs a failure, after which it is tried later. */
  write(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing = this.#writing.then(() => this.#writeAll())
    return this.#writing
  }

  /** Returns slow calls of all gateways, the newest first. */
  async read(query: SlowQuery): Promise<ShownSlowCall[]> {
    await this.write()
    return this.#options.use((sql) => readSlow(sql, query))
  }

  /** Deletes calls that are too old. */
  async clean(): Promise<void> {
    const { use, keptMs } = this.#options
    await use((sql) => deleteOldSlow(sql, keptMs))
  }

  /** Writes the rest. */
  end(): Promise<void> {
    this.#isEnded = true
    return this.write()
  }

  #log(call: SlowCall): void {
    const { log } = this.#options
    const second = Math.floor(performance.now() / 1000)
    if (second !== this.#second) {
      const leftOut = this.#lines - MAX_LINES_A_SECOND
      if (leftOut > 0) log.warn(`${leftOut} more slow calls are not in the log`)
      this.#second = second
      this.#lines = 0
    }
    this.#lines++
    if (this.#lines > MAX_LINES_A_SECOND) return
    const { id, at, plan, ...fields } = call
    log.warn('A call was slow', fields)
  }

  async #writeAll(): Promise<void> {
    const calls = this.#waiting
    if (calls.length === 0) return
    this.#waiting = []
    try {
      await this.#writeSome(calls)
    } catch (error) {
      this.#waiting = [...calls, ...this.#waiting].slice(-MAX_WAITING)
      this.#options.log.warn(`Slow calls could not be written: ${(error as Error).message}`)
    }
  }

  /** Writes calls; one that PostgreSQL refuses for its data (class 22) is given up, and the others are not. */
  async #writeSome(calls: SlowCall[]): Promise<void> {
    const { use, kept, log } = this.#options
    try {
      await use((sql) => writeSlow(sql, calls, kept))
    } catch (error) {
      const { message, details } = error as GatewayError
      if (!(error instanceof GatewayError && /^22/.test(details.sqlstate ?? ''))) throw error
      if (calls.length === 1) {
        const [{ function: name, database }] = calls as [SlowCall]
        log.warn(`A slow call was given up: ${message}`, { database, function: name })
        return
      }
      const half = calls.length >> 1
      await this.#writeSome(calls.slice(0, half))
      await this.#writeSome(calls.slice(half))
    }
  }
}
