/** Milliseconds after which the version of a called database is compared again. */
export const CHECK_EVERY_MS = 5000

/**
 * Milliseconds since the last comparison of versions for which an equal mark stands for an equal
 * version. The mark misses a change as long as the session that made it goes on with another
 * transaction, that of a session that has turned track_counts off, and one after which somebody
 * resets the statistics of a new database.
 */
const MARK_HOLDS_MS = 300_000

/** When a database was compared with its cache entry. Times are `performance.now()`. */
export interface Comparison {
  /** Of the last comparison of versions or marks; -Infinity if another one is due. */
  checkedAt: number
  /** Of the last comparison of versions; -Infinity if this process has not compared them. */
  comparedAt: number
  /** Mark that was read before the version of the last comparison; undefined if none was. */
  mark: string | undefined
}

/** Returns a comparison of versions at this time. `mark`: read before the version. */
export function comparedAt(at: number, mark: string | undefined): Comparison {
  return { checkedAt: at, comparedAt: at, mark }
}

/** Returns whether the version is due to be compared, or has been for a while (`afterMs`). */
export function isDue({ checkedAt }: Comparison, afterMs = CHECK_EVERY_MS): boolean {
  return performance.now() - checkedAt > afterMs
}

/**
 * Notes that the versions are equal, and returns true. `mark`: read before the version; null: it
 * cannot be read; undefined: nobody has tried to.
 */
export function noteEqual(comparison: Comparison, mark: string | null | undefined): true {
  comparison.checkedAt = performance.now()
  comparison.comparedAt = comparison.checkedAt
  if (mark !== undefined) comparison.mark = mark ?? undefined
  return true
}

/** Compares the mark that a session has read when it opened, if there is one to compare it with. */
export function compareMark(comparison: Comparison | undefined, mark: string): void {
  if (comparison?.mark === undefined) return
  const now = performance.now()
  const isEqual = comparison.mark === mark && now - comparison.comparedAt < MARK_HOLDS_MS
  comparison.checkedAt = isEqual ? now : Number.NEGATIVE_INFINITY
}
