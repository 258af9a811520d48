import type { MaybeRow, PendingQuery } from 'postgres'

/** A query that has been sent, or is queued on its connection behind the query before it. */
export type Sent = Promise<unknown>

/**
 * Sends a query now, so that PostgreSQL receives queries in the order of the calls. Await it, or have `answers` do
 * it: where another error comes first, its own is dropped.
 */
export function send<T extends readonly MaybeRow[]>(query: PendingQuery<T>): Promise<T> {
  return mayFail(query.execute())
}

/** Returns a promise whose error nobody has to hear: an unhandled one would end the process. */
export function mayFail<T>(sent: Promise<T>): Promise<T> {
  sent.catch(() => {})
  return sent
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
