import { BUCKETS, LOWEST_EXPONENT, PARTS } from './histogram.ts'
import type { Tally } from './tally.ts'

/** Exponent of the first bound. */
const FIRST_EXPONENT = -1

/** Upper bounds of the buckets of /metrics, in milliseconds: powers of two, which are exact. */
export const SHOWN_BOUNDS_MS = Array.from({ length: 17 }, (_, i) => 2 ** (FIRST_EXPONENT + i))

/** Powers of two whose buckets end below the first bound. */
const BELOW_FIRST = FIRST_EXPONENT - 1 - LOWEST_EXPONENT

/** Calls of a function as /metrics shows them: counted up since a time on. */
export class ShownTimes {
  errors = 0
  sumMs = 0
  /** Number of calls by bound; the last has no bound. */
  readonly buckets = new Float64Array(SHOWN_BOUNDS_MS.length + 1)

  add({ calls, errors, sumMs, counts }: Tally): void {
    if (calls === 0) return
    this.errors += errors
    this.sumMs += sumMs
    const last = SHOWN_BOUNDS_MS.length
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const count = counts[bucket]!
      if (count === 0) continue
      const bound = Math.max(0, Math.floor(bucket / PARTS) - BELOW_FIRST)
      this.buckets[Math.min(bound, last)]! += count
    }
  }

  /** Returns a copy, to which more may be added. */
  copy(): ShownTimes {
    const copy = new ShownTimes()
    copy.errors = this.errors
    copy.sumMs = this.sumMs
    copy.buckets.set(this.buckets)
    return copy
  }
}
