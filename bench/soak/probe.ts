// Runs inside the gateway, by --import: on SIGUSR2 it collects garbage and writes a line to the file
// that SOAK_PROBE names.
import { appendFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** What the gateway says of itself. */
export interface Sample {
  rssBytes: number
  /** After a collection. */
  heapBytes: number
  /** Of the event loop since the last sample: how much later than due it came to a timer. */
  delayP99Ms: number
  delayMaxMs: number
}

const RESOLUTION_MS = 5
const MILLISECOND = 1e6

const file = process.env.SOAK_PROBE
if (file) {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delay.enable()
  process.on('SIGUSR2', () => {
    const late = (nanoseconds: number) => Math.max(0, nanoseconds / MILLISECOND - RESOLUTION_MS)
    const [delayP99Ms, delayMaxMs] = [late(delay.percentile(99)), late(delay.max)]
    const rssBytes = process.memoryUsage.rss()
    globalThis.gc?.()
    const sample: Sample = {
      rssBytes,
      heapBytes: process.memoryUsage().heapUsed,
      delayP99Ms,
      delayMaxMs,
    }
    delay.reset()
    appendFileSync(file, `${JSON.stringify(sample)}\n`)
  })
}
