import { setImmediate as nextTurn } from 'node:timers/promises'

/** Elements that are worked on in one turn of the event loop. */
export const SLICE = 100

/** As `map`, some elements a turn of the event loop, so that 10,000 of them do not hold it up. */
export async function mapInSlices<T, R>(values: readonly T[], work: (value: T) => R): Promise<R[]> {
  const results: R[] = []
  for (let start = 0; start < values.length; start += SLICE) {
    if (start > 0) await nextTurn()
    for (const value of values.slice(start, start + SLICE)) results.push(work(value))
  }
  return results
}
