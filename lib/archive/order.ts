/** Compares by UTF-16 code units, independent of the locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/**
 * Compares names of migrations by their numbers, of any length and anywhere in the path, and by the
 * text between them: `9_b` before `10_a`, `V2` before `V10`, `r2/1` before `r10/1`. A name without
 * a number follows all names with one.
 */
export function compareMigrations(a: string, b: string): number {
  const [partsA, partsB] = [partsOf(a), partsOf(b)]
  const hasNumber = (parts: string[]) => parts.length > 1
  if (hasNumber(partsA) !== hasNumber(partsB)) return hasNumber(partsA) ? -1 : 1
  const length = Math.min(partsA.length, partsB.length)
  for (let i = 0; i < length; i++) {
    const order =
      i % 2 === 0 ? compareText(partsA[i]!, partsB[i]!) : compareDigits(partsA[i]!, partsB[i]!)
    if (order !== 0) return order
  }
  return partsA.length - partsB.length || compareText(a, b)
}

/** Splits a name into alternating text and digits, beginning with text, which may be empty. */
function partsOf(name: string): string[] {
  return name.split(/(\d+)/)
}

/** Compares numbers of any length: without leading zeros the longer one is greater. */
function compareDigits(a: string, b: string): number {
  const [numberA, numberB] = [a.replace(/^0+/, ''), b.replace(/^0+/, '')]
  return numberA.length - numberB.length || compareText(numberA, numberB)
}
