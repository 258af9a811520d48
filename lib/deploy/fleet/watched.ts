import type { FleetProgress } from './progress.ts'

/** A deploy to several databases, as far as it has come. */
export interface FleetJob {
  platform: string
  /** X-Request-Id of its request. */
  id: string
  state: 'running' | 'completed' | 'failed'
  /** True: nothing is changed. */
  dry_run: boolean
  done: number
  total: number
  running: string[]
  failures: { database: string; code: string; message: string }[]
}

/** Failures of a job that are kept. */
const MAX_FAILURES = 20

/**
 * Runs a deploy to several databases and tells how far it has come, whenever a database begins or
 * ends.
 * @param work receives what takes its progress, beside `progress`
 */
export async function watched<T>(
  about: Pick<FleetJob, 'platform' | 'id' | 'dry_run'>,
  progress: FleetProgress,
  tell: (job: FleetJob) => void,
  work: (progress: FleetProgress) => Promise<T>,
): Promise<T> {
  const running = new Set<string>()
  const failures: FleetJob['failures'] = []
  let total: number | undefined
  let done = 0
  const told = (state: FleetJob['state']) => {
    if (total === undefined) return
    tell({ ...about, state, done, total, running: [...running], failures })
  }
  try {
    const results = await work({
      onBegin: (databases) => {
        progress.onBegin?.(databases)
        total = databases.length
        told('running')
      },
      onStart: (database) => {
        progress.onStart?.(database)
        running.add(database)
        told('running')
      },
      onPutOff: (database) => {
        progress.onPutOff?.(database)
        running.delete(database)
        told('running')
      },
      onEnd: (result) => {
        progress.onEnd?.(result)
        const { database, error } = result
        running.delete(database)
        done++
        if (error && failures.length < MAX_FAILURES) {
          failures.push({ database, code: error.code, message: error.message })
        }
        told('running')
      },
    })
    told(failures.length > 0 ? 'failed' : 'completed')
    return results
  } catch (error) {
    told('failed')
    throw error
  }
}
