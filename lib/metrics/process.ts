import { collectDefaultMetrics, Registry } from 'prom-client'
import type { Metric, Sample } from './text.ts'

const registry = new Registry()
collectDefaultMetrics({ register: registry })

/**
 * Returns the metrics of the process as text, under prom-client's names, which dashboards for Node
 * expect: CPU, memory, heap, garbage collection, event loop delay, open files.
 */
export function renderProcessMetrics(): Promise<string> {
  return registry.metrics()
}

/** Returns the same as metrics with the number of the worker that the process is. */
export async function workerProcessMetrics(worker: number): Promise<Metric[]> {
  const all = (await registry.getMetricsAsJSON()) as unknown as ProcessMetric[]
  return all.map(({ name, help, type, values }) => ({
    name,
    help,
    type,
    samples: values.map(({ metricName = name, labels, value }) => ({
      labels: { worker, ...labels },
      value,
      suffix: metricName.slice(name.length),
    })),
  }))
}

/** As prom-client gives it; its types leave out the names of the values of histograms. */
interface ProcessMetric extends Pick<Metric, 'name' | 'help' | 'type'> {
  values: { metricName?: string; labels: Sample['labels']; value: number }[]
}
