// Runs inside each process of the gateway, by --import: on SIGURG it collects garbage and writes a line to
// its own file, whose name is SOAK_PROBE and the number of the process. The gateway obeys SIGUSR2 itself.
import cluster from 'node:cluster'
import { appendFileSync, readFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { isMainThread } from 'node:worker_threads'

/** What a process of the gateway says of itself. */
export interface Sample {
  pid: number
  /** 0: the parent of workers, or a gateway without. */
  worker: number
  rssBytes: number
  /** After a collection. */
  heapBytes: number
  /** Of the event loop since the last sample: how much later than due it came to a timer. */
  delayP99Ms: number
  delayMaxMs: number
  /** The most CPU that the main thread took between two timers: so long it did not wait for a CPU. */
  ranMaxMs: number
}

const RESOLUTION_MS = 5
const MILLISECOND = 1e6

const { pid } = process
const prefix = process.env.SOAK_PROBE
if (prefix && isMainThread) {
  const file = `${prefix}.${pid}`
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delay.enable()
  let ranMs = ranSoFar()
  let ranMaxMs = 0
  const look = () => {
    const before = ranMs
    ranMs = ranSoFar()
    ranMaxMs = Math.max(ranMaxMs, ranMs - before)
  }
  setInterval(look, RESOLUTION_MS).unref()
  process.on('SIGURG', () => {
    const late = (nanoseconds: number) => Math.max(0, nanoseconds / MILLISECOND - RESOLUTION_MS)
    const [delayP99Ms, delayMaxMs] = [late(delay.percentile(99)), late(delay.max)]
    look()
    const rssBytes = process.memoryUsage.rss()
    globalThis.gc?.()
    const sample: Sample = {
      pid,
      worker: cluster.worker?.id ?? 0,
      rssBytes,
      heapBytes: process.memoryUsage().heapUsed,
      delayP99Ms,
      delayMaxMs,
      ranMaxMs,
    }
    delay.reset()
    ranMs = ranSoFar()
    ranMaxMs = 0
    appendFileSync(file, `${JSON.stringify(sample)}\n`)
  })
  // It can be asked from now on.
  appendFileSync(file, '')
}

/** CPU of this thread so far, in ms (proc(5): schedstat counts nanoseconds). */
function ranSoFar(): number {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / MILLISECOND
  } catch {
    return Number.NaN
  }
}
