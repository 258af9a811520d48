import { editDistance } from '../../common/edit-distance.ts'

const MAX_SUGGESTIONS = 3

/** Minimum length of a prefix match: shorter names are prefixes of too many others. */
const MIN_PREFIX = 4

/** Distance of a prefix match: nearer than two wrong letters, farther than one. */
const PREFIX_DISTANCE = 1.5

/** Maximum length of a name to compare. A PostgreSQL identifier has at most 63 bytes. */
const MAX_LENGTH = 100

/**
 * Returns the names that `name` may be a misspelling of, the nearest first. A name matches if at
 * most a third of its characters differ, or if it differs only in underscores, a plural, a short
 * prefix such as `p_`, or further words at the end.
 */
export function nearMisses(name: string, names: Iterable<string>): string[] {
  if (name.length > MAX_LENGTH) return []
  const meant = essence(name)
  const near: { name: string; distance: number; length: number }[] = []
  for (const other of new Set(names)) {
    if (other === name) continue
    const candidate = essence(other)
    const distance = distanceOf(meant, candidate)
    const length = Math.abs(candidate.length - meant.length)
    if (distance !== undefined) near.push({ name: other, distance, length })
  }
  near.sort((a, b) => a.distance - b.distance || a.length - b.length || (a.name < b.name ? -1 : 1))
  return near.slice(0, MAX_SUGGESTIONS).map((one) => one.name)
}

/** Returns `; did you mean a or b?`, or an empty string without suggestions. */
export function didYouMean(suggestions: string[]): string {
  if (suggestions.length === 0) return ''
  const last = suggestions.at(-1)
  const others = suggestions.slice(0, -1).join(', ')
  return `; did you mean ${others === '' ? last : `${others} or ${last}`}?`
}

/** Reduces a name to the part that matters for comparison: `p_patientIds` becomes `patientid`. */
function essence(name: string): string {
  const words = name
    .replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_')
    .toLowerCase()
    .split('_')
    .filter((word) => word !== '')
  if (words.length > 1 && words[0]!.length <= 2) words.shift()
  return words.map(singular).join('')
}

function singular(word: string): string {
  if (word.length > 3 && word.endsWith('ies')) return `${word.slice(0, -3)}y`
  return word.length > 2 && word.endsWith('s') && !word.endsWith('ss') ? word.slice(0, -1) : word
}

/** Returns undefined if the names are too different. */
function distanceOf(meant: string, other: string): number | undefined {
  const distance = editDistance(meant, other, Math.floor(meant.length / 3))
  const [short, long] = meant.length < other.length ? [meant, other] : [other, meant]
  if (short.length < MIN_PREFIX || !long.startsWith(short)) return distance
  return Math.min(distance ?? PREFIX_DISTANCE, PREFIX_DISTANCE)
}
