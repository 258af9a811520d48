/** Compares by code units: the same everywhere, whatever the locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/**
 * Compares migrations by their leading number, of any length, then by name: `9_b` before `10_a`.
 * A name without a number comes after all that have one.
 */
export function compareMigrations(a: string, b: string): number {
  const [numberA, numberB] = [leadingDigits(a), leadingDigits(b)]
  if (numberA === undefined || numberB === undefined) {
    return Number(numberA === undefined) - Number(numberB === undefined) || compareText(a, b)
  }
  return numberA.length - numberB.length || compareText(numberA, numberB) || compareText(a, b)
}

/** Without leading zeros, so that the longer one is the greater number. */
function leadingDigits(name: string): string | undefined {
  return /^\d+/.exec(name)?.[0].replace(/^0+/, '')
}
