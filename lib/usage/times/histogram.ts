import { endianness } from 'node:os'

/** Buckets of equal width between a power of two and the next one. */
export const PARTS = 16
export const LOWEST_EXPONENT = -6
const HIGHEST_EXPONENT = 22

/** Number of buckets: durations from 2^-6 ms (16 µs) to 2^22 ms (70 minutes). */
export const BUCKETS = (HIGHEST_EXPONENT - LOWEST_EXPONENT) * PARTS

/**
 * Greatest relative error of a quantile: half of the widest bucket by its lower bound. Durations
 * below 2^-6 ms count as such.
 */
export const RELATIVE_ERROR = 1 / (2 * PARTS)

// A double has its exponent and the first four bits of its mantissa in its upper 16 bits: they are
// the number of its bucket, at the cost of a store and a load.
const double = new Float64Array(1)
const words = new Uint16Array(double.buffer)
const HIGHEST = endianness() === 'LE' ? 3 : 0
const FIRST = (1023 + LOWEST_EXPONENT) * PARTS

/** Returns the bucket of a duration in milliseconds. */
export function bucketOf(ms: number): number {
  double[0] = ms
  const bucket = words[HIGHEST]! - FIRST
  if (bucket < 0) return 0
  return bucket < BUCKETS ? bucket : BUCKETS - 1
}

/** Returns the lower bound of a bucket in milliseconds; for BUCKETS, the end of the last one. */
export function lowerBound(bucket: number): number {
  const exponent = LOWEST_EXPONENT + Math.floor(bucket / PARTS)
  return 2 ** exponent * (1 + (bucket % PARTS) / PARTS)
}

/**
 * Returns the duration in milliseconds below or at which the share `quantile` of the durations is,
 * within RELATIVE_ERROR; null without durations.
 * @param counts number of durations by bucket
 * @param maxMs the longest of them, which no quantile exceeds
 */
export function quantileOf(
  counts: ArrayLike<number>,
  quantile: number,
  maxMs: number,
): number | null {
  let count = 0
  for (let i = 0; i < counts.length; i++) count += counts[i]!
  if (count === 0) return null
  let left = Math.max(1, Math.ceil(quantile * count))
  let bucket = 0
  while (bucket < BUCKETS - 1 && left > counts[bucket]!) left -= counts[bucket++]!
  // The last bucket has no upper bound.
  if (bucket === BUCKETS - 1) return maxMs
  return Math.min((lowerBound(bucket) + lowerBound(bucket + 1)) / 2, maxMs)
}

/** Writes the counts as pairs of varints: the distance from the last bucket, and the count. */
export function packCounts(counts: ArrayLike<number>): Buffer {
  const bytes: number[] = []
  let last = 0
  for (let bucket = 0; bucket < counts.length; bucket++) {
    const count = counts[bucket]!
    if (count === 0) continue
    pushVarint(bytes, bucket - last)
    pushVarint(bytes, count)
    last = bucket
  }
  return Buffer.from(bytes)
}

/** Adds packed counts to `counts`; ignores what is behind the last bucket. */
export function addPacked(counts: Float64Array, packed: Uint8Array): void {
  let at = 0
  let bucket = 0
  const next = () => {
    let value = 0
    let weight = 1
    for (;;) {
      const byte = packed[at++] ?? 0
      value += (byte & 0x7f) * weight
      if (byte < 0x80) return value
      weight *= 0x80
    }
  }
  while (at < packed.length) {
    bucket += next()
    const count = next()
    if (bucket < BUCKETS) counts[bucket]! += count
  }
}

function pushVarint(bytes: number[], value: number): void {
  let left = value
  while (left >= 0x80) {
    bytes.push((left % 0x80) | 0x80)
    left = Math.floor(left / 0x80)
  }
  bytes.push(left)
}
