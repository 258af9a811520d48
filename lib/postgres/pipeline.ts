import type { MaybeRow, PendingQuery } from 'postgres'

/** A query that has been sent, or waits in the connection's queue right behind the one before. */
export type Sent = Promise<unknown>

/** Sends a query now, so that queries reach PostgreSQL in the order in which this is called. */
export function send<T extends readonly MaybeRow[]>(query: PendingQuery<T>): Promise<T> {
  return query.execute()
}

/**
 * Waits for the answers of queries that were sent one behind the other.
 * @throws the error of the first that failed: those behind it only say that the transaction is
 *   aborted
 */
export async function answers(queries: Sent[]): Promise<void> {
  const results = await Promise.allSettled(queries)
  const failed = results.find((result) => result.status === 'rejected')
  if (failed) throw failed.reason
}
