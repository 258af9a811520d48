import type { Sql } from '../postgres/pools/connection.ts'
import { quoteIdentifier } from '../postgres/quote.ts'

/** A function or procedure of the platform. */
export interface CoveredFunction {
  oid: string
  /** `name(types)`, with the schema unless it is public. */
  name: string
}

/** Functions and procedures of the platform: not those of extensions and of the gateway. */
const OWN = `
  from pg_catalog.pg_proc p
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  join pg_catalog.pg_language l on l.oid = p.prolang
  where p.prokind in ('f', 'p')
    and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_%'
    and n.nspname <> '_db_gateway' and p.proname not like '\\_db\\_gateway%'
    and not exists (
      select from pg_catalog.pg_depend d
      where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
    )
`

/**
 * Has PostgreSQL count the calls of functions in later sessions. It does not count a SQL function
 * that it writes into the query that calls it, and does that with none that has a setting of its own:
 * each gets one at its default.
 * @param sql session in the database, as a role that may alter its functions
 * @returns the functions that are counted
 */
export async function countCalls(sql: Sql): Promise<CoveredFunction[]> {
  const inlined = await sql.unsafe<{ signature: string }[]>(`
    select pg_catalog.format(
      '%I.%I(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)
    ) as signature
    ${OWN} and l.lanname = 'sql' and p.prokind = 'f' and p.proconfig is null
  `)
  if (inlined.length > 0) {
    const alter = inlined.map(({ signature }) => `alter function ${signature} set geqo_seed to 0`)
    await sql.unsafe(alter.join(';'))
  }
  const rows = await sql.unsafe<CoveredFunction[]>(`
    select p.oid::text as oid, pg_catalog.format(
      '%s%s(%s)',
      case when n.nspname <> 'public' then n.nspname || '.' end,
      p.proname,
      pg_catalog.pg_get_function_identity_arguments(p.oid)
    ) as name
    ${OWN} order by 2
  `)
  return [...rows]
}

/** Returns the statement that switches the counting on for sessions of a database. */
export function trackFunctions(database: string): string {
  return `alter database ${quoteIdentifier(database)} set track_functions to 'all'`
}

/** Returns the oids of the functions that the open transaction has called. */
export async function callsOfTransaction(sql: Sql): Promise<string[]> {
  const rows = await sql.unsafe<{ oid: string }[]>(
    'select funcid::text as oid from pg_catalog.pg_stat_xact_user_functions where calls > 0',
  )
  return rows.map(({ oid }) => oid)
}
