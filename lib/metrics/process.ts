import { collectDefaultMetrics, Registry } from 'prom-client'

const registry = new Registry()
collectDefaultMetrics({ register: registry })

/**
 * Returns the metrics of the process as text, under prom-client's names, which dashboards for Node
 * expect: CPU, memory, heap, garbage collection, event loop delay, open files.
 */
export function renderProcessMetrics(): Promise<string> {
  return registry.metrics()
}
