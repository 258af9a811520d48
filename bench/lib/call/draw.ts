/** Which tenants are called how often. */
export type Distribution = 'hot' | 'zipf' | 'uniform'

/** Gives a whole number from 0 up to, but not, its argument. */
export type Random = (below: number) => number

/** Gives numbers from 0 up to, but not, 1; the same for the same seed: mulberry32. */
export function seededShares(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The same numbers for the same seed. */
export function seededRandom(seed: number): Random {
  const share = seededShares(seed)
  return (below) => Math.floor(share() * below)
}

/**
 * Draws tenants from 0 to `count` - 1: always the first; each as often as any other; or by Zipf's
 * law, the one at place k 1/k times as often as the first.
 */
export function tenantDraw(
  distribution: Distribution,
  count: number,
  random: Random,
): () => number {
  if (distribution === 'hot') return () => 0
  if (distribution === 'uniform') return () => random(count)
  return zipf(count, 1, () => random(2 ** 32) / 2 ** 32)
}

/**
 * Draws from 0 to `count` - 1 by Zipf's law: the one at place k, k ** -exponent times as often as the
 * first.
 * @param share gives numbers from 0 up to, but not, 1
 */
export function zipf(count: number, exponent: number, share: () => number): () => number {
  const sums = new Float64Array(count)
  let sum = 0
  for (let i = 0; i < count; i++) {
    sum += (i + 1) ** -exponent
    sums[i] = sum
  }
  return () => {
    const drawn = share() * sum
    let [low, high] = [0, count - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if (sums[middle]! > drawn) high = middle
      else low = middle + 1
    }
    return low
  }
}
