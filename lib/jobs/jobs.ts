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
  /** Runs `work` in the administrative database; may run it twice. */
  use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>
  log: Log
  /** Id of this gateway. */
  gateway: string
  /** Called with each job of this gateway that has ended, or that its shutdown has cut. */
  onEnded?: (job: JobScope & JobEnd & { id: string }) => void
}

/** Result for one database, as the endpoints answer it. */
export interface JobResult {
  database: string
  status: 'completed' | 'failed' | 'skipped'
}

/** Outcome of a job. */
export interface JobEnd {
  status: Exclude<JobStatus, 'queued' | 'running'>
  summary: Record<string, unknown>
}

/** A job that has started. */
export interface StartedJob {
  id: string
  /**
   * Settles when the job's end is stored, or the gateway shuts down. Rejects with the errors of the
   * work.
   */
  ended: Promise<void>
}

const BEAT_EVERY_MS = 1000

/** Longest pause between two tries to store a job's end, in milliseconds. */
const MAX_PAUSE_MS = 5000

/**
 * Runs jobs: work on many databases that may take longer than the request that starts it. The state
 * of a job is in the administrative database, so that every gateway can report the progress of
 * every job.
 */
export class Jobs {
  readonly #options: JobsOptions
  readonly #running = new Set<Promise<void>>()
  readonly #ending = new AbortController()

  constructor(options: JobsOptions) {
    this.#options = options
  }

  /**
   * Starts a job.
   * @param work receives a function that takes each result as it arrives
   * @throws {GatewayError} migration_running with `job_id`, if a job of the platform is under way
   */
  async start(
    scope: JobScope & { total: number },
    work: (onResult: (result: JobResult) => void) => Promise<JobEnd>,
  ): Promise<StartedJob> {
    const { use, gateway } = this.#options
    const id = randomUUID()
    const open = await use((sql) => openJob(sql, { ...scope, id, gateway }))
    if (open.id !== id) throw isRunning(scope.platform, open)
    const ended = this.#run(id, scope, work)
    this.#running.add(ended)
    ended.catch(() => {}).finally(() => this.#running.delete(ended))
    return { id, ended }
  }

  /** Returns a job with its results so far, or undefined if it does not exist. */
  read(id: string): Promise<JobRow | undefined> {
    return this.#options.use((sql) => readJob(sql, id))
  }

  /** Number of jobs that this gateway runs. */
  get running(): number {
    return this.#running.size
  }

  /** Resolves when all jobs of this gateway have ended. */
  async drained(): Promise<void> {
    await Promise.allSettled(this.#running)
  }

  /** Stops the retries that store the ends of jobs, for a shutdown. */
  end(): void {
    this.#ending.abort()
  }

  async #run(
    id: string,
    scope: JobScope,
    work: (onResult: (result: JobResult) => void) => Promise<JobEnd>,
  ): Promise<void> {
    const { use, log } = this.#options
    const fresh: JobResult[] = []
    const flush = async () => {
      const results = fresh.splice(0)
      await use((sql) => beatJob(sql, id, results)).catch((error: Error) => {
        fresh.unshift(...results)
        log.debug(`The progress of job ${id} could not be stored: ${error.message}`)
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
      this.#options.onEnded?.({ ...scope, ...end!, id })
      await this.#end(id, end!, flush, () => fresh.length)
    }
  }

  /** Stores the end of a job. Retries until PostgreSQL accepts it, or `end` is called. */
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
        log.warn(
          `The end of job ${id} could not be stored; the gateway tries again until it is: ${failure.message}`,
        )
      }
      await sleep(pause, undefined, { signal, ref: false }).catch(() => {})
      pause = Math.min(pause * 2, MAX_PAUSE_MS)
    }
    log.warn(`The end of job ${id} was not stored before the gateway shut down`)
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
    { job_id: id, hint: `GET /v2/migrate-all/${id} reports its progress` },
  )
}
