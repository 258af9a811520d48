import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import {
  beatJob,
  endJob,
  type JobRow,
  type JobScope,
  type JobStatus,
  type OpenJob,
  openJob,
  readJob,
} from './table.ts'

export interface JobsOptions {
  /** Runs `work` in the administrative database; it may be done twice. */
  use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>
  log: Log
  /** The id of this gateway. */
  gateway: string
}

/** What became of one database, as it is answered. */
export interface JobResult {
  database: string
  status: 'completed' | 'failed' | 'skipped'
}

/** How a job ended. */
export interface JobEnd {
  status: Exclude<JobStatus, 'queued' | 'running'>
  summary: Record<string, unknown>
}

/** A job that has begun. */
export interface StartedJob {
  id: string
  /** Settles once its end is written down, or the gateway ends. @throws what the work throws */
  ended: Promise<void>
}

const BEAT_EVERY_MS = 1000

/** Between two tries to write an end down. */
const MAX_PAUSE_MS = 5000

/**
 * What goes over many databases, and may take longer than the request that asks for it. All of it is in
 * the administrative database, so that every gateway can tell how far a job of another has come.
 */
export class Jobs {
  readonly #options: JobsOptions
  readonly #running = new Set<Promise<void>>()
  readonly #ending = new AbortController()

  constructor(options: JobsOptions) {
    this.#options = options
  }

  /**
   * Begins a job; `work` is given what takes each result as it comes.
   * @throws {GatewayError} migration_running, with its `job_id`, where one of the platform is under way
   */
  async start(
    scope: JobScope & { total: number },
    work: (onResult: (result: JobResult) => void) => Promise<JobEnd>,
  ): Promise<StartedJob> {
    const { use, gateway } = this.#options
    const id = randomUUID()
    const open = await use((sql) => openJob(sql, { ...scope, id, gateway }))
    if (open.id !== id) throw isRunning(scope.platform, open)
    const ended = this.#run(id, work)
    this.#running.add(ended)
    ended.catch(() => {}).finally(() => this.#running.delete(ended))
    return { id, ended }
  }

  /** A job, with what has ended of it; undefined where there is none. */
  read(id: string): Promise<JobRow | undefined> {
    return this.#options.use((sql) => readJob(sql, id))
  }

  /** Settles when all jobs of this gateway have ended. */
  async drained(): Promise<void> {
    await Promise.allSettled(this.#running)
  }

  /** From now on no end is written that could not be written before. */
  end(): void {
    this.#ending.abort()
  }

  async #run(
    id: string,
    work: (onResult: (result: JobResult) => void) => Promise<JobEnd>,
  ): Promise<void> {
    const { use, log } = this.#options
    const fresh: JobResult[] = []
    const flush = async () => {
      const results = fresh.splice(0)
      await use((sql) => beatJob(sql, id, results)).catch((error: Error) => {
        fresh.unshift(...results)
        log.debug(`The state of job ${id} was not written: ${error.message}`)
      })
    }
    const stopped = new AbortController()
    const beating = beat(flush, stopped.signal)
    let end: JobEnd
    try {
      end = await work((result) => fresh.push(result))
    } catch (error) {
      end = { status: 'failed', summary: { error: (error as Error).message } }
      throw error
    } finally {
      stopped.abort()
      await beating
      await this.#end(id, end!, flush, () => fresh.length)
    }
  }

  /** A PostgreSQL that is away, or takes no writes, gets it when it is back, however long that takes. */
  async #end(
    id: string,
    { status, summary }: JobEnd,
    flush: () => Promise<void>,
    left: () => number,
  ): Promise<void> {
    const { use, log } = this.#options
    const { signal } = this.#ending
    let pause = BEAT_EVERY_MS
    while (!signal.aborted) {
      await flush()
      const failure = await use((sql) => endJob(sql, id, status, summary)).then(
        () => null,
        (error: Error) => error,
      )
      if (!failure && left() === 0) return
      if (failure && pause === BEAT_EVERY_MS) {
        log.warn(`The end of job ${id} is not written down yet: ${failure.message}`)
      }
      await sleep(pause, undefined, { signal, ref: false }).catch(() => {})
      pause = Math.min(pause * 2, MAX_PAUSE_MS)
    }
    log.warn(`The end of job ${id} could not be written down`)
  }
}

async function beat(flush: () => Promise<void>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await flush()
    await sleep(BEAT_EVERY_MS, undefined, { signal, ref: false }).catch(() => {})
  }
}

function isRunning(platform: string, { id, schema_name: schemaName }: OpenJob): GatewayError {
  return new GatewayError(
    'migration_running',
    `A migration of all databases of ${platform} to ${schemaName} is under way`,
    { job_id: id, hint: `GET /v2/migrate-all/${id} tells how far it has come` },
  )
}
