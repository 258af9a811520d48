import type { Sample } from './text.ts'

/** Upper bounds of the buckets, in milliseconds. */
const BOUNDS_MS = [0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000]

/** A histogram of durations. `note` costs a few nanoseconds. */
export class Histogram {
  readonly #boundsMs: number[]
  /**
   * Number of durations in each bucket: longer than the previous bound, up to this one; the last
   * bucket has no upper bound.
   */
  readonly #buckets: number[]
  #sumMs = 0

  /** @param boundsMs upper bounds of the buckets in milliseconds; default: 0.5 ms to 30 s */
  constructor(boundsMs = BOUNDS_MS) {
    this.#boundsMs = boundsMs
    this.#buckets = new Array(boundsMs.length + 1).fill(0)
  }

  note(ms: number): void {
    this.#sumMs += ms
    let i = 0
    while (i < this.#boundsMs.length && ms > this.#boundsMs[i]!) i++
    this.#buckets[i]!++
  }

  /** Returns the samples in seconds; none before the first duration. */
  samples(labels: Sample['labels']): Sample[] {
    if (this.#buckets.every((value) => value === 0)) return []
    return histogramSamples(labels, this.#boundsMs, this.#buckets, this.#sumMs)
  }
}

/**
 * Returns the samples of a histogram in seconds.
 * @param boundsMs upper bounds of the buckets, in milliseconds
 * @param buckets number of durations in each bucket; the last has no upper bound
 */
export function histogramSamples(
  labels: Sample['labels'],
  boundsMs: readonly number[],
  buckets: ArrayLike<number>,
  sumMs: number,
): Sample[] {
  let count = 0
  const samples: Sample[] = Array.from(buckets, (value, i) => {
    count += value
    const bound = boundsMs[i]
    const le = bound === undefined ? '+Inf' : bound / 1000
    return { suffix: '_bucket', labels: { ...labels, le }, value: count }
  })
  return [
    ...samples,
    { suffix: '_sum', labels, value: sumMs / 1000 },
    { suffix: '_count', labels, value: count },
  ]
}
