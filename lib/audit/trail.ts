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
  /** Runs `work` in the administrative database; may run it twice. */
  use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>
  log: Log
  retentionDays: () => number
  /** Called with each request that may have changed something, when it has ended. */
  onEnded?: (entry: AuditEntry, isUnchanged: boolean, failure: GatewayError | undefined) => void
  /** Called with each entry, and again when it has changed. */
  onNote: (entry: AuditEntry) => void
}

/** Milliseconds that an entry waits for others, to be written in one statement. */
const WRITE_AFTER_MS = 250
/** Milliseconds before the next try after PostgreSQL was unreachable. */
const TRY_AGAIN_AFTER_MS = 5000
const CLEANUP_EVERY_MS = 60 * 60 * 1000
const BATCH = 200
const MAX_WAITING = 10_000

/** Milliseconds that a response waits at most for its entry to be written. */
const PATIENCE_MS = 2000

/**
 * The audit trail, a table of the administrative database. Entries queue in memory and are written
 * moments later. An entry that cannot be written goes to the log.
 */
export class AuditTrail {
  readonly #refusals: Refusals
  readonly #options: TrailOptions
  /** Entries to write, by key, in their latest state. */
  readonly #waiting = new Map<string, AuditEntry>()
  #writing: Promise<boolean> | undefined
  #timer: NodeJS.Timeout | undefined
  #cleaner: NodeJS.Timeout | undefined
  #ended = false
  #lost = 0

  constructor(options: TrailOptions) {
    this.#options = options
    this.#refusals = new Refusals((entry) => this.note(entry))
  }

  /**
   * Counts a refused request: one without access to an administrative endpoint, or one that names a
   * platform it may not use. Ignores other errors.
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

  /** Creates the table if it does not exist, and starts the hourly deletion of old entries. */
  async prepare(): Promise<void> {
    await this.#options.use(prepareTable)
    this.#cleaner = setInterval(() => this.#clean(), CLEANUP_EVERY_MS).unref()
    this.#clean()
  }

  /** Tells that the request of an entry has ended, with `failure` if it was answered with an error. */
  ended(entry: AuditEntry, isUnchanged: boolean, failure?: GatewayError): void {
    this.#options.onEnded?.(entry, isUnchanged, failure)
  }

  /** Number of entries that wait to be written. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Number of entries that were not written, since the start. */
  get lost(): number {
    return this.#lost
  }

  /** Queues an entry to be written, or to be written again after a change. */
  note(entry: AuditEntry): void {
    if (this.#ended) {
      this.#giveUp([entry])
      return
    }
    this.#options.onNote(entry)
    this.#waiting.delete(entry.key)
    this.#waiting.set(entry.key, entry)
    const [oldest] = this.#waiting.values()
    if (this.#waiting.size > MAX_WAITING) this.#giveUp([oldest!])
    if (!this.#writing) this.#schedule(WRITE_AFTER_MS)
  }

  /**
   * Writes an entry before the response is sent. Waits PATIENCE_MS at most; the entry is written
   * later if PostgreSQL is unreachable.
   */
  async save(entry: AuditEntry): Promise<void> {
    this.note(entry)
    const patience = sleep(PATIENCE_MS, false, { ref: false })
    if (await Promise.race([this.#write(), patience])) return
    this.#options.log.warn('An entry is not in the audit trail yet', {
      entry: JSON.stringify(entry),
    })
  }

  /** Returns entries, newest first. Writes the queued entries of this gateway first. */
  async read(query: AuditQuery): Promise<AuditRow[]> {
    this.#refusals.flush()
    await this.#write()
    return this.#options.use((sql) => readEntries(sql, query))
  }

  /** Writes the queued entries, and logs those that cannot be written within `limitMs`. */
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

  /**
   * Writes the queued entries.
   * @returns true if all entries queued at the call are written or logged
   */
  async #write(): Promise<boolean> {
    const running = this.#writing
    if (running && !(await running)) return false
    // The write that ran may not include entries queued since it began.
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
        // Entries that changed in the meantime are the same objects: requeueing keeps their latest
        // state.
        for (const entry of batch) this.#waiting.set(entry.key, entry)
        const { message } = error as Error
        this.#options.log.warn(`The audit trail could not be written: ${message}`, {
          waiting: this.#waiting.size,
        })
        if (isWorthWaiting(error) && !this.#ended) return false
        this.#giveUp(batch)
      }
    }
    return true
  }

  /** Removes entries from the queue and logs them, so that they are not lost. */
  #giveUp(entries: AuditEntry[]): void {
    for (const entry of entries) {
      this.#waiting.delete(entry.key)
      this.#lost++
      this.#options.log.error('An entry was not written to the audit trail', {
        entry: JSON.stringify(entry),
      })
    }
  }

  async #clean(): Promise<void> {
    const { use, retentionDays, log } = this.#options
    try {
      let isMore = true
      while (isMore && !this.#ended)
        isMore = await use((sql) => deleteOld(sql, AGE, retentionDays()))
    } catch (error) {
      if (!this.#ended)
        log.warn(`Old entries of the audit trail could not be deleted: ${(error as Error).message}`)
    }
  }
}

/** Returns whether a later try may succeed: PostgreSQL, or a connection to it, was unavailable. */
function isWorthWaiting(error: unknown): boolean {
  return error instanceof GatewayError && error.status >= 503
}
