import { GatewayError } from '../../errors.ts'
import { clientGone, waitLimit } from '../../postgres/pools/waiter.ts'
import { describeHold, type Hold } from '../hold.ts'
import type { Owner } from '../names.ts'
import { suspended } from '../suspension.ts'
import type { NamedEntry } from './catalog-table.ts'
import { type LookupLimits, type LookupOptions, OwnerLookups } from './owner-lookups.ts'
import type { Renamed } from './tenant-hold.ts'

interface Parts {
  /** Returns the entry that answers the owner. @throws {GatewayError} database_not_found */
  locate(owner: Owner, options: LookupOptions): Promise<NamedEntry>
  /** Removes a database from the cache of entries. */
  forget(database: string): void
  /** Returns the tenants that have had these databases until a moment ago. */
  readRenamed(databases: string[]): Promise<Renamed[]>
}

/** Milliseconds that a deploy waits for the end of a hold. */
const DEPLOY_WAIT_MS = 60_000

/** Has calls wait while the database of their tenant must be without sessions. */
export class HeldCalls {
  readonly #parts: Parts
  readonly #limits: LookupLimits
  readonly #renamed: OwnerLookups<Renamed>
  /** By database: functions that wake those that wait. */
  readonly #waiting = new Map<string, Set<() => void>>()

  constructor(parts: Parts, limits: LookupLimits) {
    this.#parts = parts
    this.#limits = limits
    this.#renamed = new OwnerLookups(parts.readRenamed, ({ from }) => from, limits)
  }

  /**
   * Returns the database that answers the owner's call, when its calls run.
   * @param gone database in which the call was to run. A call that found its tenant before a rename
   *   follows it; one that comes later finds nothing.
   * @throws {GatewayError} tenant_suspended; pool_exhausted if the hold does not end in time; the
   *   errors of `locate`
   */
  async pass(owner: Owner, options: LookupOptions, gone?: string): Promise<string> {
    const since = performance.now()
    let [wanted, database] = [owner, gone]
    for (;;) {
      let entry: NamedEntry
      try {
        entry = await this.#parts.locate(wanted, options)
      } catch (error) {
        const isAbsent = error instanceof GatewayError && error.code === 'database_not_found'
        const next = isAbsent && database !== undefined && (await this.#next(database, wanted))
        if (!next) throw error
        ;[wanted, database] = [next, undefined]
        continue
      }
      if (entry.suspension) throw suspended(entry, entry.suspension)
      if (!entry.hold) return entry.database
      database = entry.database
      await this.#wait(entry, entry.hold, options, this.#limits.waitMs - performance.now() + since)
    }
  }

  /** Returns the entry that `read` returns once it is not held; for deploys. */
  async settled(read: () => Promise<NamedEntry | undefined>): Promise<NamedEntry | undefined> {
    const since = performance.now()
    for (;;) {
      const entry = await read()
      if (!entry?.hold) return entry
      const waits = { ...entry.hold, retryAfterS: null }
      await this.#wait(entry, waits, {}, DEPLOY_WAIT_MS - performance.now() + since)
    }
  }

  /** Wakes the calls that wait for a database: its entry has changed. */
  release(database: string): void {
    for (const wake of this.#waiting.get(database) ?? []) wake()
  }

  releaseAll(): void {
    for (const database of this.#waiting.keys()) this.release(database)
  }

  async #next(database: string, { platform }: Owner): Promise<Owner | undefined> {
    const renamed = await this.#renamed.find(database, { anew: true })
    return renamed?.platform === platform ? renamed : undefined
  }

  /** Resolves when the hold has ended or lapsed. */
  async #wait(
    entry: NamedEntry,
    hold: Hold,
    { client, deadline }: LookupOptions,
    waitMs: number,
  ): Promise<void> {
    const { database } = entry
    const left = hold.until - performance.now()
    if (left <= 0) return this.#parts.forget(database)
    const what = describeHold(entry, hold)
    const { retryAfterS } = hold
    if (retryAfterS !== null) throw suspended(entry, { message: what, retryAfterS })
    const waiting = this.#waiting.get(database) ?? new Set()
    if (client && waiting.size >= this.#limits.maxWaiting) {
      throw new GatewayError('pool_exhausted', `${what}, and ${waiting.size} calls wait already`, {
        database,
      })
    }
    const limit = waitLimit(
      { waitMs, deadline },
      database,
      (text) => `${what}, which did not end within ${text}`,
    )
    let end: () => void = () => {}
    const woken = new Promise<void>((resolve, reject) => {
      const lapse = setTimeout(() => {
        this.#parts.forget(database)
        resolve()
      }, left)
      const timeout = setTimeout(() => reject(limit.error()), limit.ms)
      if (client) client.onGone = () => reject(clientGone(database))
      waiting.add(resolve)
      this.#waiting.set(database, waiting)
      end = () => {
        clearTimeout(lapse)
        clearTimeout(timeout)
        if (client) client.onGone = undefined
        waiting.delete(resolve)
        if (waiting.size === 0) this.#waiting.delete(database)
      }
    })
    await woken.finally(end)
  }
}
