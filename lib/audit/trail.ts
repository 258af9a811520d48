import type { IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../errors.ts'
import type { RequestContext } from '../http/request.ts'
import type { Log } from '../log.ts'
import { deleteOld } from '../postgres/delete-old.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { type AuditEntry, endEntry, newEntry } from './entry.ts'
import { Refusals } from './refusals.ts'
import {
  AGE,
  type AuditQuery,
  type AuditRow,
  prepareTable,
  readEntries,
  writeEntries,
} from './table.ts'

interface TrailOptions {
  /** Runs what may be done twice in the administrative database. */
  use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>
  log: Log
  retentionDays: number
}

/** What comes together is written together. */
const WRITE_AFTER_MS = 250
/** PostgreSQL was away. */
const TRY_AGAIN_AFTER_MS = 5000
const CLEANUP_EVERY_MS = 60 * 60 * 1000
const BATCH = 200
const MAX_WAITING = 10_000

/** An answer waits no longer for its entry to be written. */
const PATIENCE_MS = 2000

/**
 * The audit trail, a table of the administrative database. Entries wait in memory until they are
 * written, moments later; what cannot be written goes into the log.
 */
export class AuditTrail {
  readonly #refusals: Refusals
  readonly #options: TrailOptions
  /** By key: what was not written yet, as it is now. */
  readonly #waiting = new Map<string, AuditEntry>()
  #writing: Promise<boolean> | undefined
  #timer: NodeJS.Timeout | undefined
  #cleaner: NodeJS.Timeout | undefined
  #ended = false

  constructor(options: TrailOptions) {
    this.#options = options
    this.#refusals = new Refusals((entry) => this.note(entry))
  }

  /**
   * Counts a request that was not let through: to what is for administrators, or to another platform.
   * Other errors are not counted.
   */
  noteRefused(
    request: RequestContext,
    req: IncomingMessage,
    { code, status }: Pick<GatewayError, 'code' | 'status'>,
  ): void {
    const isRefused =
      code === 'platform_isolation_violation' ||
      (request.access === 'admin' && (code === 'unauthorized' || code === 'cross_site_refused'))
    if (!isRefused || request.isAudited) return
    const { method = '', path = '' } = request.counter ?? {}
    const kind = [status, code, method, path, request.address, request.platform].join(' ')
    this.#refusals.add(kind, () => {
      const entry = newEntry('refused', request, req)
      endEntry(entry, request, status, code)
      return entry
    })
  }

  /** Creates the table where it does not exist, and sees to it that what is too old goes. */
  async prepare(): Promise<void> {
    await this.#options.use(prepareTable)
    this.#cleaner = setInterval(() => this.#clean(), CLEANUP_EVERY_MS).unref()
    this.#clean()
  }

  /** Has an entry written soon, or written again after it was changed. */
  note(entry: AuditEntry): void {
    if (this.#ended) {
      this.#giveUp([entry])
      return
    }
    this.#waiting.delete(entry.key)
    this.#waiting.set(entry.key, entry)
    const [oldest] = this.#waiting.values()
    if (this.#waiting.size > MAX_WAITING) this.#giveUp([oldest!])
    if (!this.#writing) this.#schedule(WRITE_AFTER_MS)
  }

  /** Writes an entry before an answer goes out; a PostgreSQL that is away does not hold that up. */
  async save(entry: AuditEntry): Promise<void> {
    this.note(entry)
    const patience = sleep(PATIENCE_MS, false, { ref: false })
    if (await Promise.race([this.#write(), patience])) return
    this.#options.log.warn('Not in the audit trail yet', { entry: JSON.stringify(entry) })
  }

  /** Entries, newest first, with all that this gateway knows of by now. */
  async read(query: AuditQuery): Promise<AuditRow[]> {
    this.#refusals.flush()
    await this.#write()
    return this.#options.use((sql) => readEntries(sql, query))
  }

  /** Writes what waits, and what cannot be written within that time into the log. */
  async end(limitMs: number): Promise<void> {
    clearInterval(this.#cleaner)
    this.#refusals.end()
    this.#ended = true
    await Promise.race([this.#write(), sleep(limitMs, undefined, { ref: false })])
    clearTimeout(this.#timer)
    this.#giveUp([...this.#waiting.values()])
  }

  #schedule(ms: number): void {
    this.#timer ??= setTimeout(() => this.#write(), ms).unref()
  }

  /** @returns whether nothing waits any more of what did */
  async #write(): Promise<boolean> {
    const running = this.#writing
    if (running && !(await running)) return false
    // What came while that ran may not have been a part of it.
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined
      if (this.#waiting.size > 0 && !this.#ended) this.#schedule(TRY_AGAIN_AFTER_MS)
    })
    return this.#writing
  }

  async #writeAll(): Promise<boolean> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    while (this.#waiting.size > 0) {
      const batch = [...this.#waiting.values()].slice(0, BATCH)
      for (const { key } of batch) this.#waiting.delete(key)
      try {
        await this.#options.use((sql) => writeEntries(sql, batch))
      } catch (error) {
        // Those that changed meanwhile wait already.
        for (const entry of batch) this.#waiting.set(entry.key, entry)
        const { message } = error as Error
        this.#options.log.warn(`The audit trail cannot be written: ${message}`, {
          waiting: this.#waiting.size,
        })
        if (isWorthWaiting(error) && !this.#ended) return false
        this.#giveUp(batch)
      }
    }
    return true
  }

  /** The log is the place where an entry is not lost. */
  #giveUp(entries: AuditEntry[]): void {
    for (const entry of entries) {
      this.#waiting.delete(entry.key)
      this.#options.log.error('Not written to the audit trail', { entry: JSON.stringify(entry) })
    }
  }

  async #clean(): Promise<void> {
    const { use, retentionDays, log } = this.#options
    try {
      let isMore = true
      while (isMore && !this.#ended) isMore = await use((sql) => deleteOld(sql, AGE, retentionDays))
    } catch (error) {
      if (!this.#ended) log.warn(`The audit trail is not cleaned up: ${(error as Error).message}`)
    }
  }
}

/** PostgreSQL, or a connection to it, was not to be had. */
function isWorthWaiting(error: unknown): boolean {
  return error instanceof GatewayError && error.status >= 503
}
