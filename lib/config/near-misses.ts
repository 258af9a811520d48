/** So many letters may be wrong, missing, too many or swapped; never the first: SSL_CERT_FILE is another one. */
const MAX_DISTANCE = 2

/** Shorter names are near too much that other programs have. */
const MIN_LENGTH = 7

const SETTING = /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/

/** A variable that is no setting, and the setting that is probably meant. */
export interface NearMiss {
  name: string
  meant: string
}

/**
 * The variables whose names are nearly those of settings: by up to two letters, or as the beginning of
 * one, of two words or more.
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
    if (Math.abs(one.length - name.length) > MAX_DISTANCE) continue
    const distance = distanceOf(name, one)
    if (distance >= bestDistance) continue
    best = one
    bestDistance = distance
  }
  return best
}

function longer(name: string, known: ReadonlySet<string>): string | undefined {
  if (!name.includes('_')) return undefined
  return [...known].find((one) => one.startsWith(name))
}

/** Letters that are wrong, missing or too many; two that are swapped are one. */
function distanceOf(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const wrong = a[i - 1] === b[j - 1] ? 0 : 1
      let least = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + wrong)
      const areSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (areSwapped) least = Math.min(least, rows[i - 2]![j - 2]! + 1)
      row.push(least)
    }
    rows.push(row)
  }
  return rows[a.length]![b.length]!
}
