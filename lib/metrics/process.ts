import { collectDefaultMetrics, Registry } from 'prom-client'

const registry = new Registry()
collectDefaultMetrics({ register: registry })

/**
 * What the process uses, under the names that dashboards for Node know: processor, memory, heap,
 * garbage collection, delay of the event loop, open files; as text.
 */
export function renderProcessMetrics(): Promise<string> {
  return registry.metrics()
}
