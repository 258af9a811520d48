import { FIRST_NORMAL_OID } from '../../postgres/oids.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Owner } from '../../tenancy/names.ts'
import { moveRefused } from './check.ts'

/** By what a database stores, compares and sorts text, as CREATE DATABASE names it. */
export interface Locale {
  encoding: string
  provider: string
  collate: string
  ctype: string
  /** Of the providers icu and builtin. */
  locale: string | null
  /** ICU_RULES, from PostgreSQL 16 on. */
  rules: string | null
}

/**
 * Reads it from a database, by its name. The column of the locale is daticulocale before PostgreSQL 17.
 * PostgreSQL 15 keeps the locale of ICU as it is given (de_DE), and later versions as a language tag (de-DE).
 */
export async function readLocale(admin: Sql, database: string): Promise<Locale> {
  const [row] = await admin<[Locale]>`
    select pg_encoding_to_char(d.encoding) as encoding,
      case d.datlocprovider when 'c' then 'libc' when 'i' then 'icu' when 'b' then 'builtin' end as provider,
      d.datcollate as collate, d.datctype as ctype,
      case d.datlocprovider when 'i' then lower(replace(c.locale, '_', '-')) else c.locale end as locale,
      c.rules
    from pg_database d cross join lateral (
      select coalesce(r ->> 'datlocale', r ->> 'daticulocale') as locale, r ->> 'daticurules' as rules
      from to_jsonb(d) as r
    ) as c
    where d.datname = ${database}
  `
  return row
}

/**
 * Checks that text sorts and is stored alike on both servers. The versions of the libraries are not
 * compared: indexes are built anew.
 * @throws {GatewayError} move_refused
 */
export function checkLocale(owner: Owner, from: Locale, to: Locale): void {
  const differing = (Object.keys(from) as (keyof Locale)[]).filter((key) => from[key] !== to[key])
  if (differing.length === 0) return
  const told = differing.map((key) => `${key} ${from[key] ?? 'none'}, there ${to[key] ?? 'none'}`)
  throw moveRefused(
    owner,
    `the other server makes databases with another encoding or collation (${told.join('; ')})`,
    'BASE_TEMPLATE, which holds for all servers, has to name a database with that of the source there',
  )
}

/**
 * Checks that values of type money mean the same on both servers: as text, which dumps and replication send,
 * they have the decimals of lc_monetary, and PostgreSQL reads `1,25` as 125 where the comma is no decimal sign
 * (PostgreSQL manual, "Monetary Types").
 * @param sql session in the database
 * @param there session in a database of the other server
 * @throws {GatewayError} move_refused
 */
export async function checkMoney(sql: Sql, there: Sql, owner: Owner): Promise<void> {
  const readFormat = (of: Sql) =>
    of<{ format: string }[]>`select current_setting('lc_monetary') as format`
  const [[from], [to]] = await Promise.all([readFormat(sql), readFormat(there)])
  if (from!.format === to!.format) return
  const columns = await sql<{ name: string }[]>`
    with recursive money (oid) as (
      select oid from pg_type where oid in ('money'::regtype, 'money[]'::regtype)
      union
      select t.oid
      from money m join pg_type t on m.oid in (t.typbasetype, t.typelem) or exists (
        select from pg_range r where r.rngsubtype = m.oid and t.oid in (r.rngtypid, r.rngmultitypid)
      )
    )
    select format('%s.%I', attrelid::regclass, attname) as name
    from pg_attribute
    where atttypid in (select oid from money) and attrelid >= ${FIRST_NORMAL_OID}::int8::oid
      and not attisdropped
    order by 1 limit 5
  `
  if (columns.length === 0) return
  throw moveRefused(
    owner,
    `it has values of type money (${columns.map(({ name }) => name).join(', ')}), and lc_monetary is ${from!.format}, there ${to!.format}`,
    'Set lc_monetary alike on both servers, or change the type to numeric',
  )
}
