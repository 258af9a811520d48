import { OTHER } from '../counters.ts'
import { Tally, type TallyKey } from './tally.ts'

/** Maximum number of functions, and of functions in one database, that have rows of their own. */
export const MAX_ROWS = 200

/** A tally, and whose it is. */
export interface Keyed {
  key: TallyKey
  tally: Tally
}

/**
 * Returns the MAX_ROWS functions that were called most. The others of each platform are one, named
 * `OTHER`, and so are those of all but MAX_ROWS platforms.
 */
export function foldFunctions(all: Keyed[]): Keyed[] {
  const functions = fold(all, (key) => ({ ...key, function: OTHER }))
  const platforms = fold(functions.rest, (key) => ({ ...key, platform: OTHER }))
  return [...functions.most, ...platforms.most, ...platforms.rest]
}

export function byCalls(a: Keyed, b: Keyed): number {
  return b.tally.calls - a.tally.calls
}

function fold(all: Keyed[], keyOf: (key: TallyKey) => TallyKey): Record<'most' | 'rest', Keyed[]> {
  const sorted = all.toSorted(byCalls)
  const rest = new Map<string, Keyed>()
  for (const { key, tally } of sorted.slice(MAX_ROWS)) {
    const other = keyOf(key)
    const known = rest.get(other.platform) ?? { key: other, tally: new Tally() }
    known.tally.addTally(tally)
    rest.set(other.platform, known)
  }
  return { most: sorted.slice(0, MAX_ROWS), rest: [...rest.values()] }
}
