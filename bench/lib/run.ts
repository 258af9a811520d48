import { availableParallelism } from 'node:os'

/**
 * Runs a benchmark. SIGINT and SIGTERM abort `stopping`, which ends the processes that the benchmark
 * has started; the exit code is 1 then.
 */
export async function runBench(work: (stopping: AbortController) => Promise<void>): Promise<void> {
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => stopping.abort(new Error(signal)))
  }
  try {
    await work(stopping)
  } catch (error) {
    if (!stopping.signal.aborted) throw error
    console.error(`Stopped: ${(stopping.signal.reason as Error).message}`)
    process.exitCode = 1
  }
}

/** What figures depend on: the first words of each benchmark's output. */
export function machine(): string {
  return `${availableParallelism()} cores, Node ${process.version}`
}
