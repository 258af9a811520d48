import { expect, test } from 'vitest'
import { renderProcessMetrics, workerProcessMetrics } from '../../../lib/metrics/process.ts'

/** The event loop has no turn between these scrapes: the later ones find no delay that was measured. */
const atOnce = <T>(scrape: () => Promise<T>) => Promise.all(Array.from({ length: 5 }, scrape))

test('scrapes at once have numbers that were measured alone', async () => {
  for (const text of await atOnce(renderProcessMetrics)) {
    const samples = text.split('\n').filter((line) => /^\w/.test(line))
    const values = samples.map((line) => [line, Number(line.slice(line.lastIndexOf(' ')))] as const)
    expect(values.length).toBeGreaterThan(30)
    expect(values.filter(([, value]) => !Number.isFinite(value))).toEqual([])
    const lags = values.filter(([line]) => line.startsWith('nodejs_eventloop_lag'))
    expect(lags.filter(([, value]) => value > 1000)).toEqual([])
    expect(text).toContain('# TYPE nodejs_eventloop_lag_min_seconds gauge')
    expect(text).toMatch(/^nodejs_gc_duration_seconds_bucket\{.*le="\+Inf".*\} \d+$/m)
  }
})

test('so have those of workers, which other processes are told as JSON', async () => {
  for (const metrics of await atOnce(() => workerProcessMetrics(1))) {
    const all = metrics.map(({ name, samples }) => ({ name, samples: [...samples] }))
    const told: typeof all = JSON.parse(JSON.stringify(all))
    const wrong = told.flatMap(({ name, samples }) =>
      samples.filter(
        ({ value }) => value === null || (name.startsWith('nodejs_eventloop') && value > 1000),
      ),
    )
    expect(wrong).toEqual([])
  }
})
