import type { Sql } from '../postgres/connection.ts'

/**
 * A text that is another one when a function, a trigger, a view or a policy of the database has
 * changed: each version of a row has its own xmin. What PostgreSQL itself has is left out, and what
 * is temporary.
 */
export async function readFunctionsVersion(sql: Sql): Promise<string> {
  const [row] = await sql<{ version: string }[]>`
    select concat_ws('/',
      (
        select pg_catalog.bit_xor(pg_catalog.hash_record_extended(row(p.oid, p.xmin), 0))
        from pg_catalog.pg_proc p
        join pg_catalog.pg_namespace n on n.oid = p.pronamespace
        where p.oid >= 16384 and not pg_catalog.starts_with(n.nspname::text, 'pg_temp')
      ),
      (
        select pg_catalog.bit_xor(pg_catalog.hash_record_extended(row(t.oid, t.xmin), 0))
        from pg_catalog.pg_trigger t
        join pg_catalog.pg_class c on c.oid = t.tgrelid
        where c.relpersistence <> 't'
      ),
      (
        select pg_catalog.bit_xor(pg_catalog.hash_record_extended(row(r.oid, r.xmin), 0))
        from pg_catalog.pg_rewrite r
        join pg_catalog.pg_class c on c.oid = r.ev_class
        where r.oid >= 16384 and c.relpersistence <> 't'
      ),
      (
        select pg_catalog.bit_xor(pg_catalog.hash_record_extended(row(p.oid, p.xmin), 0))
        from pg_catalog.pg_policy p
      )
    ) as version
  `
  return row!.version
}
