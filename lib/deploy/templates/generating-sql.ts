import { FIRST_NORMAL_OID } from '../../postgres/oids.ts'
import type { Sql } from '../../postgres/pools/connection.ts'

/** VOLATILE functions that yield the same in every database created by the same statements. */
const REPEATABLE = ['nextval', 'setval', 'currval', 'lastval', 'set_config']

/** STABLE functions of PostgreSQL whose value depends on the time, the session or the database. */
const PASSING = `
  now transaction_timestamp statement_timestamp age current_database current_catalog
  current_query txid_current txid_current_if_assigned txid_current_snapshot pg_current_xact_id
  pg_current_xact_id_if_assigned pg_current_snapshot pg_backend_pid pg_postmaster_start_time
  pg_conf_load_time inet_client_addr inet_client_port inet_server_addr inet_server_port
  pg_database_size current_setting pg_my_temp_schema
`.match(/\w+/g)!

/** A default (`text`) or the function of a trigger (`routine`) of a relation. */
export interface StoredExpression {
  relation: string
  text: string | null
  routine: string | null
}

/**
 * Reads the defaults and triggers of the named relations and of all relations with rows, and the
 * defaults of domains that their columns use.
 */
export async function readStoredExpressions(
  sql: Sql,
  written: string[],
): Promise<StoredExpression[]> {
  return sql<StoredExpression[]>`
    with relation as (
      select c.oid, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p', 'v', 'f') and c.oid >= ${FIRST_NORMAL_OID}
        and n.nspname !~ '^(pg_|_db_gateway$)' and c.relname !~ '^_db_gateway_'
        and not exists (
          select from pg_depend d
          where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
        )
        and (pg_relation_size(c.oid) > 0
          or c.relname in (select json_array_elements_text(${JSON.stringify(written)}::text::json)))
    )
    select r.relname as relation, pg_get_expr(d.adbin, d.adrelid) as text, null as routine
    from relation r join pg_attrdef d on d.adrelid = r.oid
    union all
    select r.relname, t.typdefault, null
    from relation r
    join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
    join pg_type t on t.oid = a.atttypid
    where t.typtype = 'd' and t.typdefaultbin is not null
    union all
    select r.relname, null, p.proname
    from relation r
    join pg_trigger t on t.tgrelid = r.oid and not t.tgisinternal
    join pg_proc p on p.oid = t.tgfoid
  `
}

/**
 * Returns the first name of a function that generates values: of PostgreSQL and of extensions,
 * those that are VOLATILE or depend on time or database; of the platform, all that are not
 * IMMUTABLE. Functions of the platform's operators and casts are checked as well.
 */
export async function findGenerating(sql: Sql, names: string[]): Promise<string | undefined> {
  const [row] = await sql<{ name: string }[]>`
    with routine as (
      select p.oid, p.proname as name, p.provolatile as volatility,
        p.oid < ${FIRST_NORMAL_OID} or exists (
          select from pg_depend d
          where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
        ) as is_known
      from pg_proc p
    )
    select name from routine
    where (
        name in (select json_array_elements_text(${JSON.stringify(names)}::text::json))
        or oid in (select oprcode from pg_operator where oid >= ${FIRST_NORMAL_OID})
        or oid in (select castfunc from pg_cast where oid >= ${FIRST_NORMAL_OID})
      )
      and case
        when not is_known then volatility <> 'i'
        when volatility = 'v'
        then name not in (select json_array_elements_text(${JSON.stringify(REPEATABLE)}::text::json))
        when volatility = 's'
        then name in (select json_array_elements_text(${JSON.stringify(PASSING)}::text::json))
        else false
      end
    order by name
    limit 1
  `
  return row?.name
}

/** Keywords of PL/pgSQL, beside those of SQL, that may precede a parenthesis. */
const PLPGSQL_WORDS = ['assert', 'elseif', 'elsif', 'foreach', 'loop', 'perform', 'raise', 'while']

/**
 * Returns the first name followed by a parenthesis that is no function, type or relation. It
 * existed when the files ran, and has been dropped since.
 */
export async function findUnknown(sql: Sql, names: string[]): Promise<string | undefined> {
  const asked = names.filter((name) => /^[\p{L}_]/u.test(name) && !PLPGSQL_WORDS.includes(name))
  const [row] = await sql<{ name: string }[]>`
    select name from json_array_elements_text(${JSON.stringify(asked)}::text::json) as name
    where name not in (select word from pg_get_keywords())
      and not exists (select from pg_proc where proname = name)
      and not exists (select from pg_type where typname = name)
      and not exists (select from pg_class where relname = name)
    order by name
    limit 1
  `
  return row?.name
}
