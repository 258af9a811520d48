import type { MaybeRow, PendingQuery } from 'postgres'

/** A query that has been sent, or is queued on its connection behind the query before it. */
export type Sent = Promise<unknown>

/** Sends a query now, so that PostgreSQL receives queries in the order of the calls. */
export function send<T extends readonly MaybeRow[]>(query: PendingQuery<T>): Promise<T> {
  return query.execute()
}

/**
 * Waits for all pipelined queries.
 * @throws the error of the first query that failed; later ones fail only because the transaction is
 *   aborted
 */
export async function answers(queries: Sent[]): Promise<void> {
  const results = await Promise.allSettled(queries)
  const failed = results.find((result) => result.status === 'rejected')
  if (failed) throw failed.reason
}
