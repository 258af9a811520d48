import type { Sql } from '../postgres/connection.ts'
import { answers, type Sent } from '../postgres/pipeline.ts'
import type { Session } from './request.ts'
import type { Watch } from './watch.ts'

/** It has a value in a transaction of ours, and in none else. */
const MARK = 'db_gateway.in_transaction'

/**
 * True in a transaction of ours. A query that was sent right behind a `begin` runs even where that
 * one failed: with this condition it does nothing then.
 */
export const IS_IN_TRANSACTION = `current_setting('${MARK}', true) is not distinct from 'yes'`

/** One that is not sent yet. */
export type Query = Promise<unknown> & { execute(): Promise<unknown> }

export interface TransactionOptions {
  /** PostgreSQL refuses all that writes. */
  isReadOnly: boolean
  /** Settings for this transaction alone. */
  session?: Session | undefined
}

/**
 * Runs guarded queries in one transaction. All are sent at once, and their results come in their
 * order.
 * @throws the error of the first that failed; nothing of the transaction is left then
 */
export async function inTransaction(
  sql: Sql,
  options: TransactionOptions,
  queries: Query[],
  watch: Pick<Watch, 'over'>,
): Promise<unknown[]> {
  const sent = begin(sql, options)
  const results = queries.map((query) => query.execute())
  sent.push(...results, sql.unsafe('commit').execute())
  watch.over(sent)
  await answers(sent)
  return Promise.all(results)
}

/** Opens a transaction. The settings last as long as it does: PostgreSQL takes them back itself. */
export function begin(sql: Sql, { isReadOnly, session = [] }: TransactionOptions): Sent[] {
  const mode = isReadOnly ? ' read only' : ''
  const sent: Sent[] = [sql.unsafe(`begin${mode}; set local ${MARK} = 'yes'`).execute()]
  if (session.length > 0) sent.push(setSession(sql, session).execute())
  return sent
}

/**
 * Keeps postgres.js from sending a query again by itself, behind all others, when its error looks
 * like that of a stale statement: it would run after its transaction.
 */
export function once<T extends Query>(query: T): T {
  let isPrepared = false
  return Object.defineProperty(query, 'prepared', {
    get: () => isPrepared,
    set: (value: boolean) => {
      isPrepared = value
      // It is read when the query is sent, at once, and later when it has failed.
      queueMicrotask(() => {
        isPrepared = false
      })
    },
  })
}

/** Prepared: postgres.js would wait for the answer to one that is not. */
function setSession(sql: Sql, session: Session): Query {
  const calls = session.map((_, i) => `set_config($${2 * i + 1}, $${2 * i + 2}, true)`)
  const options = { prepare: true, simple: false }
  return sql.unsafe(`select ${calls.join(', ')}`, session.flat(), options)
}
