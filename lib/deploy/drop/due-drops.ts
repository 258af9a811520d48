import { removeLeftFolders } from '../../postgres/temporary-folder.ts'
import { findDueDrops } from '../../tenancy/catalog/tenant-state.ts'
import { dropHalfMade } from '../move/half-made.ts'
import type { DeployParts } from '../parts.ts'
import { type DroppedTenant, dropDueTenant } from './drop-tenant.ts'
import { deleteOldDumps } from './dumps.ts'

/** Called after each drop, with its duration in milliseconds. */
export type OnDropped = (dropped: DroppedTenant, executionTimeMs: number) => Promise<void>

const LOOK_EVERY_MS = 30_000
const SWEEP_EVERY_MS = 60 * 60 * 1000

/**
 * Drops tenants whose scheduled drop is due, and copies that are left half made, every 30 s, and
 * deletes dumps older than TENANT_DUMP_DAYS, and temporary folders that killed gateways left, every
 * hour. Each gateway carries out the drops that any gateway has scheduled.
 */
export class DueDrops {
  readonly #parts: DeployParts
  readonly #onDropped: OnDropped
  /** Databases whose last drop failed. The log reports only the first failure in a row. */
  readonly #failed = new Set<string>()
  #timers: NodeJS.Timeout[] = []
  #isStopped = false
  #running: Promise<void> | undefined

  constructor(parts: DeployParts, onDropped: OnDropped) {
    this.#parts = parts
    this.#onDropped = onDropped
  }

  start(): void {
    const look = () => void this.run()
    const sweep = () => void this.sweep()
    this.#timers = [setInterval(look, LOOK_EVERY_MS), setInterval(sweep, SWEEP_EVERY_MS)]
    for (const timer of this.#timers) timer.unref()
    look()
    sweep()
  }

  /** Looks no more by itself; a run that is under way ends with the drop that it is at. */
  stop(): void {
    this.#isStopped = true
    for (const timer of this.#timers) clearInterval(timer)
  }

  /**
   * Drops the tenants that are due now. Never rejects: the next run retries drops that failed. A
   * call during a run returns that run.
   */
  run(): Promise<void> {
    if (this.#running) return this.#running
    this.#isStopped = false
    this.#running = this.#run().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #run(): Promise<void> {
    const { catalog, log } = this.#parts
    let due: string[]
    try {
      due = await catalog.use(findDueDrops)
    } catch (error) {
      log.debug(`It is not known which tenants are to be dropped: ${(error as Error).message}`)
      return
    }
    await dropHalfMade(this.#parts).catch((error: Error) =>
      log.debug(`Copies that are left half made are not dropped: ${error.message}`),
    )
    for (const database of due) {
      if (this.#isStopped) return
      await this.#drop(database)
    }
  }

  async #drop(database: string): Promise<void> {
    const started = performance.now()
    try {
      const dropped = await dropDueTenant(this.#parts, database)
      this.#failed.delete(database)
      if (dropped) await this.#onDropped(dropped, Math.round(performance.now() - started))
    } catch (error) {
      const isNews = !this.#failed.has(database)
      this.#failed.add(database)
      const cause = (error as Error).message
      const text = 'A tenant that is due could not be dropped; it is tried again'
      if (isNews && !this.#isStopped) this.#parts.log.warn(text, { database, cause })
    }
  }

  /** Deletes old dumps and temporary folders. Never rejects: failures are logged. */
  async sweep(): Promise<void> {
    const { config, log } = this.#parts
    await removeLeftFolders(config.deployTimeoutMs)
    try {
      for (const file of await deleteOldDumps(config.dumpDir, config.tenantDumpDays)) {
        log.info('A dump was kept for TENANT_DUMP_DAYS and is deleted', { file })
      }
    } catch (error) {
      log.warn(`Old dumps are not deleted: ${(error as Error).message}`)
    }
  }
}
