import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { databaseName, type Owner } from '../names.ts'
import { describeOwner, isSameOwner } from '../owner-identity.ts'

/**
 * SQL that creates the table of databases that were moved to another server. A row stays until the
 * former database, which has the name `kept` since, is dropped.
 */
export const MOVED = `
  create table if not exists _db_gateway_moved (
    database text primary key,
    platform text not null,
    tenant_id text,
    schema_name text,
    -- name of the server that it was moved to
    moved_to text not null,
    kept text not null,
    moved_at timestamptz not null default now()
  )
`

/** A database that was moved to another server, and what is left of it. */
export interface MovedDatabase {
  database: string
  /** Name of the server that it was moved to. */
  movedTo: string
  /** Name that the former database has since. */
  kept: string
}

/** The database of a request is on another server since a moment ago: nothing has run. */
export class MovedAway extends GatewayError {
  readonly database: string
  /** Name of the server. */
  readonly server: string

  constructor(owner: Owner, database: string, server: string) {
    super('tenant_busy', `${describeOwner(owner)} was moved to the server ${server}`, {
      database,
      server,
      hint: 'Send the request again',
    })
    this.database = database
    this.server = server
  }
}

/** The database of a request is being moved to another server: nothing has run. */
export class BeingMoved extends GatewayError {
  /** @param what the database or its owner, as the subject of a sentence */
  constructor(what: string, database: string) {
    super('tenant_busy', `${what} is being moved to another server`, {
      database,
      hint: 'Send the request again when it has been moved',
    })
  }
}

/**
 * Checks that a database is not being moved to another server: it has another name then, and what is
 * written of it would stay behind.
 * @throws {BeingMoved} tenant_busy
 */
export function checkNotMoving(entry: Owner & { hiddenAs: string | null }): void {
  if (entry.hiddenAs !== null) throw new BeingMoved(describeOwner(entry), databaseName(entry))
}

/** Has the owner's database be one that was moved, in the open transaction. */
export async function noteMoved(
  sql: Sql,
  owner: Owner,
  { movedTo, kept }: Pick<MovedDatabase, 'movedTo' | 'kept'>,
): Promise<void> {
  const database = databaseName(owner)
  await sql`
    insert into _db_gateway_moved (database, platform, tenant_id, schema_name, moved_to, kept)
    values (${database}, ${owner.platform}, ${owner.tenantId}, ${owner.schema}, ${movedTo}, ${kept})
    on conflict (database) do update set moved_to = excluded.moved_to, kept = excluded.kept
  `
  await sql`delete from _db_gateway_databases where database = ${database}`
}

/**
 * Records the name that a database has while it is moved, or with null that it has its own again: its
 * calls wait, and nothing is made of its name, even if the gateway that moves it is killed.
 */
export async function setHidden(sql: Sql, database: string, kept: string | null): Promise<void> {
  await sql`update _db_gateway_databases set hidden_as = ${kept} where database = ${database}`
}

/** Returns what is left of the owner's database that was moved; undefined if nothing is. */
export async function readMoved(sql: Sql, owner: Owner): Promise<MovedDatabase | undefined> {
  const [row] = await sql<
    {
      database: string
      platform: string
      tenant_id: string | null
      schema_name: string | null
      moved_to: string
      kept: string
    }[]
  >`select * from _db_gateway_moved where database = ${databaseName(owner)}`
  if (!row) return undefined
  const { database, platform, tenant_id: tenantId, schema_name: schema, moved_to, kept } = row
  if (!isSameOwner({ platform, tenantId, schema }, owner)) return undefined
  return { database, movedTo: moved_to, kept }
}

/** Returns what is left on a server of a platform's databases that were moved to others. */
export async function readFormer(sql: Sql, platform: string) {
  return sql<
    {
      database: string
      tenant_id: string | null
      schema_name: string | null
      kept: string
      moved_to: string
      moved_at: string
    }[]
  >`
    select database, tenant_id, schema_name, kept, moved_to, to_json(moved_at) as moved_at
    from _db_gateway_moved
    where platform = ${platform} order by database
  `
}

/** Forgets a database that was moved: what was left of it is dropped. */
export async function forgetMoved(sql: Sql, database: string): Promise<void> {
  await sql`delete from _db_gateway_moved where database = ${database}`
}
