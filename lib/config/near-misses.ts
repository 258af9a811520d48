import { editDistance } from '../common/edit-distance.ts'

/**
 * Maximum number of wrong, missing, extra or swapped letters. The first letter must be right:
 * SSL_CERT_FILE is a variable of other programs.
 */
const MAX_DISTANCE = 2

/** Shorter names resemble too many variables of other programs. */
const MIN_LENGTH = 7

const SETTING = /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/

/** A variable that is not a setting, and the setting that is probably meant. */
export interface NearMiss {
  name: string
  meant: string
}

/**
 * Returns the variables whose names resemble those of settings: they differ in at most two letters,
 * or are the first two or more words of one.
 */
export function nearMisses(names: string[], known: ReadonlySet<string>): NearMiss[] {
  const misses: NearMiss[] = []
  for (const name of names) {
    if (known.has(name) || name.length < MIN_LENGTH || !SETTING.test(name)) continue
    const meant = nearest(name, known) ?? longer(name, known)
    if (meant) misses.push({ name, meant })
  }
  return misses
}

function nearest(name: string, known: ReadonlySet<string>): string | undefined {
  let best: string | undefined
  let bestDistance = MAX_DISTANCE + 1
  for (const one of known) {
    if (one.length < MIN_LENGTH || one[0] !== name[0]) continue
    const distance = editDistance(name, one, MAX_DISTANCE)
    if (distance === undefined || distance >= bestDistance) continue
    best = one
    bestDistance = distance
  }
  return best
}

function longer(name: string, known: ReadonlySet<string>): string | undefined {
  if (!name.includes('_')) return undefined
  return [...known].find((one) => one.startsWith(name))
}
