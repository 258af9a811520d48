import type { PendingQuery, Row } from 'postgres'

/**
 * Hands over the rows of a query, some at a time, and waits for each. postgres.js itself does not wait for
 * the last of them, nor sees its error, which would end the process.
 * @throws {Error} of the query or of `take`
 */
export async function forEachBatch<R extends Row>(
  query: PendingQuery<R[]>,
  rows: number,
  take: (some: R[]) => Promise<void>,
): Promise<void> {
  let last = Promise.resolve()
  const taken = query.cursor(rows, (some) => {
    last = take(some as R[])
    // Its error is seen below, at last.
    last.catch(() => {})
    return last
  })
  try {
    await taken
  } finally {
    await last
  }
}
