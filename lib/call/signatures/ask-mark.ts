import type { OpeningQuestion } from '../../postgres/pools/call-sessions.ts'
import { MARK_ITEMS } from './change-mark.ts'
import { type Comparison, compareMark, isDue } from './comparison.ts'

/**
 * Returns what the next session of a database is asked when it opens: the mark, if it is due to be
 * compared and there is one to compare it with. Reading the version can wait for that.
 */
export function askMark(comparisonOf: (database: string) => Comparison | undefined) {
  const question: OpeningQuestion = {
    items: MARK_ITEMS,
    onAnswer: (database, mark) => compareMark(comparisonOf(database), mark),
  }
  return (database: string): OpeningQuestion | undefined => {
    const comparison = comparisonOf(database)
    return comparison && isMarkDue(comparison) ? question : undefined
  }
}

/** After a mark that differed, only the version tells. */
function isMarkDue(comparison: Comparison): boolean {
  const { checkedAt, mark } = comparison
  return mark !== undefined && checkedAt !== Number.NEGATIVE_INFINITY && isDue(comparison)
}
