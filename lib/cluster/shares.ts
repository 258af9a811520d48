/** A gateway, as the division of the connections sees it. */
export interface Sharer {
  id: string
  /** What its MAX_TOTAL_CONNECTIONS says, or its server has. */
  cap: number
  /** What it may have open now, or has still. */
  share: number
}

/** With fewer a gateway cannot do its work: a deploy takes two beside the one that listens. */
export const SMALLEST_SHARE = 4

/** What one of several gateways may have open. */
export interface Share {
  /** Its part of all, once the others have made room. */
  target: number
  /** Now. */
  share: number
  /** The smallest cap does not go round: together they may open more. */
  isTooSmall: boolean
}

/**
 * Divides the smallest of their caps among the gateways alive. One that has too many gives them up
 * at once; one that has too few takes only what the others do not have any more, so that the sum
 * does not pass the cap while they change.
 */
export function divide(mine: Sharer, others: Sharer[]): Share {
  const all = [mine, ...others]
  const cap = Math.min(...all.map((one) => one.cap))
  const rank = others.filter(({ id }) => id < mine.id).length
  const part = Math.floor(cap / all.length) + (rank < cap % all.length ? 1 : 0)
  const least = Math.min(SMALLEST_SHARE, cap)
  const isTooSmall = Math.floor(cap / all.length) < least
  const target = isTooSmall ? least : part
  if (isTooSmall || mine.share > target) return { target, share: target, isTooSmall }
  const taken = others.reduce((sum, one) => sum + one.share, 0)
  return { target, share: Math.max(mine.share, Math.min(target, cap - taken)), isTooSmall }
}
