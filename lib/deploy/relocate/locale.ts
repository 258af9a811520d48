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
    'Set BASE_TEMPLATE to a database with that of the source, on the other server',
  )
}
