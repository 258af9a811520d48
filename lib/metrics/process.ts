import { collectDefaultMetrics, Registry } from 'prom-client'
import { type Metric, renderMetrics, type Sample } from './text.ts'

const registry = new Registry()
collectDefaultMetrics({ register: registry })

/** Shortest delay of an event loop, in seconds, where none was measured: the largest 64-bit integer. */
const NONE_MEASURED = (2 ** 63 - 1) / 1e9

/**
 * Returns the metrics of the process as text, under prom-client's names, which dashboards for Node
 * expect: CPU, memory, heap, garbage collection, event loop delay, open files.
 */
export async function renderProcessMetrics(): Promise<string> {
  return renderMetrics(await processMetrics({}))
}

/** Returns the same as metrics with the number of the worker that the process is. */
export function workerProcessMetrics(worker: number): Promise<Metric[]> {
  return processMetrics({ worker })
}

async function processMetrics(own: Sample['labels']): Promise<Metric[]> {
  const all = (await registry.getMetricsAsJSON()) as unknown as ProcessMetric[]
  return all.map(({ name, help, type, values }) => ({
    name,
    help,
    type,
    samples: values
      .filter(({ value }) => isMeasured(value))
      .map(({ metricName = name, labels, value }) => ({
        labels: { ...own, ...labels },
        value,
        suffix: metricName.slice(name.length),
      })),
  }))
}

/**
 * Whether a value is one: a scrape begins the delays of the event loop anew, so that another at the same
 * time finds none, of which neither the mean nor the minimum is a number that means anything.
 */
function isMeasured(value: number): boolean {
  return Number.isFinite(value) && value !== NONE_MEASURED
}

/** As prom-client gives it; its types leave out the names of the values of histograms. */
interface ProcessMetric extends Pick<Metric, 'name' | 'help' | 'type'> {
  values: { metricName?: string; labels: Sample['labels']; value: number }[]
}
