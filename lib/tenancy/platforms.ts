import { GatewayError } from '../errors.ts'
import { createTables } from '../postgres/create-tables.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { closeTable } from './catalog/catalog-identity.ts'

/** A platform with the number of its schemas and databases. */
export interface ListedPlatform {
  name: string
  /** Number of stored schemas. */
  schemas: number
  databases: number
}

/**
 * Creates the table of registered platforms if it does not exist. Only the gateway's role can read
 * it.
 */
export async function preparePlatforms(sql: Sql): Promise<void> {
  await createTables(
    sql,
    `
    create table if not exists _db_gateway_platforms (
      name text primary key,
      -- null: never registered
      registered_at timestamptz,
      -- null: never requested
      token text
    )
  `,
  )
  await closeTable(sql, '_db_gateway_platforms')
}

/**
 * Registers a platform.
 * @returns false if it was registered before
 */
export async function registerPlatform(sql: Sql, name: string): Promise<boolean> {
  const { count } = await sql`
    insert into _db_gateway_platforms (name, registered_at) values (${name}, now())
    on conflict (name) do update set registered_at = now()
    where _db_gateway_platforms.registered_at is null
  `
  return count > 0
}

/** Returns whether a platform was registered, or has a database or a stored schema. */
export async function isKnownPlatform(sql: Sql, name: string): Promise<boolean> {
  const [row] = await sql<[{ is_known: boolean }]>`
    select exists (select from _db_gateway_platforms where name = ${name} and registered_at is not null)
      or exists (select from _db_gateway_databases where platform = ${name})
      or exists (select from _db_gateway_schemas where platform = ${name})
      -- databases on other servers: see lib/servers/placements.ts
      or exists (select from _db_gateway_placements where platform = ${name}) as is_known
  `
  return row.is_known
}

/**
 * Checks that a platform is known (`isKnownPlatform`).
 * @throws {GatewayError} with `code`, if it is not
 */
export async function checkPlatform(
  sql: Sql,
  name: string,
  code: 'not_found' | 'invalid_request' = 'not_found',
): Promise<void> {
  if (await isKnownPlatform(sql, name)) return
  throw new GatewayError(
    code,
    `Platform ${name} is not known: register it with POST /platform/register or POST /register`,
  )
}

/** Returns all platforms, by name. */
export async function listPlatforms(sql: Sql): Promise<ListedPlatform[]> {
  return sql<ListedPlatform[]>`
    with d as (
      select platform, count(*)::integer as n from _db_gateway_databases group by platform
    ), s as (
      select platform, count(*)::integer as n from _db_gateway_schemas group by platform
    ), names as (
      select name from _db_gateway_platforms where registered_at is not null
      union select platform from d
      union select platform from s
    )
    select names.name, coalesce(s.n, 0) as schemas, coalesce(d.n, 0) as databases
    from names
    left join d on d.platform = names.name
    left join s on s.platform = names.name
    order by names.name
  `
}

/** Adds up the platforms of several catalogs, by name. Stored schemas are in the first alone. */
export function joinPlatforms([first = [], ...others]: ListedPlatform[][]): ListedPlatform[] {
  if (others.length === 0) return first
  const sums = new Map(first.map((one) => [one.name, one]))
  for (const { name, databases } of others.flat()) {
    const sum = sums.get(name) ?? { name, schemas: 0, databases: 0 }
    sums.set(name, { ...sum, databases: sum.databases + databases })
  }
  return [...sums.values()].sort((one, other) => (one.name < other.name ? -1 : 1))
}

/**
 * Returns the token of a platform, and generates it on the first request. PostgreSQL generates it,
 * because a server log may contain the text of statements.
 */
export async function giveToken(sql: Sql, name: string): Promise<string> {
  const [row] = await sql<[{ token: string }]>`
    insert into _db_gateway_platforms as p (name, token)
    values (${name}, 'ssdb_pt_' || replace(gen_random_uuid()::text, '-', ''))
    on conflict (name) do update set token = coalesce(p.token, excluded.token)
    returning token
  `
  return row.token
}

/** Returns the token of a platform, or undefined if it has none. */
export async function readToken(sql: Sql, name: string): Promise<string | undefined> {
  const [row] = await sql<{ token: string | null }[]>`
    select token from _db_gateway_platforms where name = ${name}
  `
  return row?.token ?? undefined
}
