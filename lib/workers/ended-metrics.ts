import { lastingMetrics, mergeMetrics } from '../metrics/merge.ts'
import type { Metric } from '../metrics/text.ts'

/**
 * The counters of workers that have ended, as they were told last: without them the sums of a service
 * would fall when a worker ends, which looks like a restart of all.
 */
export class EndedMetrics {
  readonly #last = new Map<number, Metric[]>()
  #ended: Metric[] = []

  /** The sums of all workers that have ended. */
  get metrics(): Metric[] {
    return this.#ended
  }

  /** Notes what a worker has told. */
  note(worker: number, body: unknown): void {
    if (Array.isArray(body)) this.#last.set(worker, body as Metric[])
  }

  /** Adds what a worker that has ended told last. */
  end(worker: number): void {
    const last = this.#last.get(worker)
    this.#last.delete(worker)
    if (last) this.#ended = mergeMetrics([this.#ended, lastingMetrics(last)])
  }
}
