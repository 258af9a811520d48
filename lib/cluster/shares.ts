/** A gateway among those that share the connections. */
export interface Sharer {
  id: string
  /** Its MAX_TOTAL_CONNECTIONS, or the limit of its server. */
  cap: number
  /** Connections that it may have open now, or still has. */
  share: number
}

/**
 * Minimum number of connections that a gateway works with: a deploy takes two beside the listening
 * one.
 */
export const SMALLEST_SHARE = 4

/** Connections that one of several gateways may have open. */
export interface Share {
  /** Share once the others have made room. */
  target: number
  /** Share now. */
  share: number
  /**
   * True if the smallest cap is less than SMALLEST_SHARE a gateway: together they may exceed it.
   */
  isTooSmall: boolean
}

/** Returns the part of an amount that one of `count` gateways has, by its rank from 0. */
export function partOf(amount: number, rank: number, count: number): number {
  return Math.floor(amount / count) + (rank < amount % count ? 1 : 0)
}

/**
 * Divides the smallest cap among the gateways alive. A gateway above its target gives up
 * connections at once. A gateway below its target takes only connections that the others have given
 * up, so that the sum never exceeds the cap during a change.
 * @param left connections that dead gateways still have
 */
export function divide(mine: Sharer, others: Sharer[], left = 0): Share {
  const all = [mine, ...others]
  const cap = Math.min(...all.map((one) => one.cap))
  const rank = others.filter(({ id }) => id < mine.id).length
  const part = partOf(cap, rank, all.length)
  const least = Math.min(SMALLEST_SHARE, cap)
  const isTooSmall = Math.floor(cap / all.length) < least
  const target = isTooSmall ? least : part
  if (isTooSmall || mine.share > target) return { target, share: target, isTooSmall }
  const taken = others.reduce((sum, one) => sum + one.share, left)
  return { target, share: Math.max(mine.share, Math.min(target, cap - taken)), isTooSmall }
}
