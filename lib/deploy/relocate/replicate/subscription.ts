import type { Sql } from '../../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../../postgres/quote.ts'

/** A subscription that is to be made. */
export interface NewSubscription {
  name: string
  /** Connection string of the source, with the password of the gateway's role there. */
  connection: string
  publication: string
  /** Options after WITH. */
  options: string
}

/** Why a subscription is not made. */
export interface SubscriptionFailure {
  /** PostgreSQL's words. */
  message: string
  /** Whether the source does not ask the gateway's role for a password, or the URI has none. */
  lacksPassword: boolean
}

const SQLSTATE_LENGTH = 5

/** SQLSTATE of a subscription of a role that is no superuser, without a password (libpqwalreceiver.c). */
const PROHIBITED = '2F003'

/** Settings with which a server does not log statements, where the gateway's role may set them. */
const QUIET = {
  log_statement: 'none',
  log_min_duration_statement: '-1',
  log_min_duration_sample: '-1',
  log_transaction_sample_rate: '0',
  log_min_error_statement: 'panic',
  log_min_messages: 'fatal',
  log_parameter_max_length: '0',
  'pg_stat_statements.track_utility': 'off',
}

/**
 * Makes a subscription in the open transaction. Neither the log of the server nor pg_stat_activity
 * has its connection string: an error that a block of PL/pgSQL catches is not logged, and log_statement
 * logs the block alone. A warning has the statement as its context, so that the publication has to exist.
 * Where log_statement is `all`, or the duration of statements is logged, the gateway's role has to be a
 * superuser, or needs the privilege to set QUIET.
 * @returns why PostgreSQL does not make it; undefined if it does
 */
export async function createSubscription(
  sql: Sql,
  { name, connection, publication, options }: NewSubscription,
): Promise<SubscriptionFailure | undefined> {
  await sql`
    select set_config(p.name, q.value, true)
    from json_each_text(${JSON.stringify(QUIET)}::text::json) q join pg_settings p on p.name = q.key
    where has_parameter_privilege(p.name, 'set')
  `
  await sql`select set_config('_db_gateway.connection', ${connection}, true)`
  await sql.unsafe(`
    do language plpgsql $do$
    begin
      execute format(
        'create subscription ${quoteIdentifier(name)} connection %L publication ${quoteIdentifier(publication)}
         with (${options})',
        current_setting('_db_gateway.connection')
      );
      perform set_config('_db_gateway.failure', '', true);
    -- OTHERS does not have the end of statement_timeout.
    exception when query_canceled or others then
      perform set_config('_db_gateway.failure', sqlstate || sqlerrm, true);
    end $do$
  `)
  const [row] = await sql<{ failure: string }[]>`
    select current_setting('_db_gateway.failure') as failure,
      set_config('_db_gateway.connection', '', true)
  `
  const { failure } = row!
  if (failure === '') return undefined
  const code = failure.slice(0, SQLSTATE_LENGTH)
  return { message: failure.slice(SQLSTATE_LENGTH), lacksPassword: code === PROHIBITED }
}
