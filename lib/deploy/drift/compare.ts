import { excerpt } from '../../common/excerpt.ts'
import type { Fact } from './facts.ts'

/** Differences that a description lists. */
const MAX_SHOWN = 3

/** How one object differs from the reference. */
export interface Drift {
  /** Kind of object: table, column, index, constraint, function, grants, … */
  object: string
  name: string
  change: 'missing' | 'extra' | 'different'
  /** Definition in the reference; null if `extra`. For functions, a hash of the definition. */
  expected: string | null
  /** Definition in the database; null if `missing`. */
  actual: string | null
}

/**
 * Returns the differences in a fixed order. Parts of a table that is itself missing or extra are
 * left out.
 */
export function compareFacts(expected: Fact[], actual: Fact[]): Drift[] {
  const wanted = new Map(expected.map((fact) => [keyOf(fact), fact]))
  const found = new Map(actual.map((fact) => [keyOf(fact), fact]))
  const drifts = [
    ...expected.flatMap((fact): [Fact, Drift][] => {
      const other = found.get(keyOf(fact))
      if (other?.[3] === fact[3]) return []
      return [[fact, drift(fact, other ? 'different' : 'missing', fact[3], other?.[3])]]
    }),
    ...actual
      .filter((fact) => !wanted.has(keyOf(fact)))
      .map((fact): [Fact, Drift] => [fact, drift(fact, 'extra', undefined, fact[3])]),
  ]
  // Only relations and routines have parts.
  const whole = new Set(
    drifts.flatMap(([[, name, parent], { change }]) =>
      parent === null && change !== 'different' ? [name] : [],
    ),
  )
  return drifts
    .filter(([[, , parent]]) => parent === null || !whole.has(parent))
    .map(([, one]) => one)
    .sort((a, b) => (keyOfDrift(a) < keyOfDrift(b) ? -1 : 1))
}

function drift(
  [object, name]: Fact,
  change: Drift['change'],
  expected: string | undefined,
  actual: string | undefined,
): Drift {
  const text = (value: string | undefined) => (value === undefined ? null : excerpt(value))
  return { object, name, change, expected: text(expected), actual: text(actual) }
}

function keyOf([kind, name]: Fact): string {
  return `${kind} ${name}`
}

function keyOfDrift({ object, name, change }: Drift): string {
  return `${object} ${name} ${change}`
}

/**
 * Describes the first differences in words: "lack index public.item_name, have another function
 * f()".
 * @param isOne whether the sentence is about one database
 */
export function describeDrift(drifts: Drift[], isOne: boolean): string {
  const shown = drifts.slice(0, MAX_SHOWN).map(({ object, name, change }) => {
    if (change === 'missing') return `${isOne ? 'lacks' : 'lack'} ${object} ${name}`
    if (change === 'extra') return `${isOne ? 'has' : 'have'} ${object} ${name} besides`
    return `${isOne ? 'has' : 'have'} another ${object} ${name}`
  })
  const rest = drifts.length - shown.length
  return [...shown, ...(rest > 0 ? [`${rest} more`] : [])].join(', ')
}
