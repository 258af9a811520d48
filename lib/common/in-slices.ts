import { setImmediate as nextTurn } from 'node:timers/promises'

/** Elements that are processed in one turn of the event loop. */
export const SLICE = 100

/** Does the work for each value, SLICE of them in each turn of the event loop. */
export async function inTurns<T>(
  values: readonly T[],
  work: (value: T) => Promise<void> | void,
): Promise<void> {
  for (const [i, value] of values.entries()) {
    if (i > 0 && i % SLICE === 0) await nextTurn()
    await work(value)
  }
}

/**
 * Maps values as `Array.map` does, SLICE of them in each turn of the event loop, so that 10,000
 * values do not block it.
 */
export async function mapInSlices<T, R>(values: readonly T[], work: (value: T) => R): Promise<R[]> {
  const results: R[] = []
  await inTurns(values, (value) => {
    results.push(work(value))
  })
  return results
}
