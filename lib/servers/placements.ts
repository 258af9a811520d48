import { setTimeout as sleep } from 'node:timers/promises'
import { addMissingColumn, createTables } from '../postgres/create-tables.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { inTransaction } from '../postgres/transaction.ts'
import { databaseLock } from '../tenancy/database-lock.ts'
import { databaseName, type Owner } from '../tenancy/names.ts'
import { WRITTEN_COLUMNS } from './older-copy.ts'
import { MAIN_SERVER } from './parse-servers.ts'

/** A database that is on another server than `main`. */
export interface Placement {
  database: string
  platform: string
  /** Name of the server in SERVERS. */
  server: string
}

/** A database of a platform on another server than `main`. */
export interface PlacedDatabase extends Owner {
  database: string
}

/** Milliseconds for which it is remembered that a database is not placed, and the most of them. */
const ABSENT_MS = 1000
const MAX_ABSENT = 10_000

/** `change` of the notification that a placement has changed. */
export const PLACED = 'PLACED'

/**
 * Which databases are on another server than `main`: a table of the catalog of `main`, all of which is in
 * memory, so that calls of other servers' databases need nothing of `main`. Gateways tell each other
 * changes by notifications.
 */
export class Placements {
  readonly #use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>
  readonly #channel: string
  #servers = new Map<string, Placement>()
  /** Number of databases, by server. */
  #totals = new Map<string, number>()
  /** Number of databases, by platform and server. */
  #counts = new Map<string, Map<string, number>>()
  /** Databases that the table did not have, until a time by `performance.now()`. */
  readonly #absent = new Map<string, number>()
  readonly #looking = new Map<string, Promise<string | undefined>>()
  /** Databases whose rows were read while the table is being read. */
  #readMeanwhile: Set<string> | undefined

  /**
   * @param use runs work in the catalog of `main`, again if the connection is lost
   * @param channel of the notifications between gateways
   */
  constructor(use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>, channel: string) {
    this.#use = use
    this.#channel = channel
  }

  /** Creates the table, and reads it. */
  async prepare(): Promise<void> {
    await this.#use((sql) =>
      createTables(
        sql,
        `
        create table if not exists _db_gateway_placements (
          database text primary key,
          platform text not null,
          tenant_id text,
          schema_name text,
          server text not null,
          placed_at timestamptz not null default now()
        );
        create table if not exists _db_gateway_servers (
          name text primary key,
          catalog uuid not null
        );
        ${Object.entries(WRITTEN_COLUMNS)
          .map(([column, type]) => addMissingColumn('_db_gateway_servers', column, type))
          .join(';')}
      `,
      ),
    )
    await this.load()
  }

  /** Reads the table anew: changes may have been missed. */
  async load(): Promise<void> {
    const meanwhile = new Set<string>()
    this.#readMeanwhile = meanwhile
    const rows = await this.#use(
      (sql) => sql<Placement[]>`select database, platform, server from _db_gateway_placements`,
    )
    this.#servers = new Map()
    this.#totals = new Map()
    this.#counts = new Map()
    this.#absent.clear()
    for (const row of rows) this.#set(row)
    if (this.#readMeanwhile === meanwhile) this.#readMeanwhile = undefined
    // The rows may be older than what was read of these.
    for (const database of meanwhile) await this.look(database)
  }

  /** As `load`, again every second until it succeeds. */
  async reload(): Promise<void> {
    for (;;) {
      try {
        await this.load()
        return
      } catch {
        await sleep(1000, undefined, { ref: false })
      }
    }
  }

  /** Returns the server that a database is on; undefined for `main`, and for one that is unknown. */
  of(database: string): string | undefined {
    return this.#servers.get(database)?.server
  }

  /**
   * As `of`, but asks the catalog for one that is unknown: another gateway may have placed it just now.
   * That the catalog has none is remembered for a second.
   */
  async find(database: string): Promise<string | undefined> {
    const known = this.of(database)
    if (known !== undefined || (this.#absent.get(database) ?? 0) > performance.now()) return known
    const looking = this.#looking.get(database) ?? this.look(database)
    this.#looking.set(database, looking)
    try {
      return await looking
    } finally {
      this.#looking.delete(database)
    }
  }

  /** Returns the names of the servers but `main` that have databases of the platform. */
  serversOf(platform: string): string[] {
    return [...(this.#counts.get(platform)?.keys() ?? [])]
  }

  /** Whether any database is on another server than `main`. */
  get haveAny(): boolean {
    return this.#servers.size > 0
  }

  /** Names of the servers but `main` that have databases. */
  servers(): Iterable<string> {
    return this.#totals.keys()
  }

  /** Number of databases that are on each server but `main`. */
  counts(): Map<string, number> {
    return new Map(this.#totals)
  }

  /** Reads the placement of a database anew, such as when a notification names it. */
  async look(database: string): Promise<string | undefined> {
    const [row] = await this.#use(
      (sql) => sql<Placement[]>`
        select database, platform, server from _db_gateway_placements where database = ${database}
      `,
    )
    this.#readMeanwhile?.add(database)
    if (row) this.#set(row)
    else this.#setAbsent(database)
    return row?.server
  }

  /**
   * Returns the server that a database is on, by the catalog.
   * @param admin session in the catalog of `main`
   */
  async readWith(admin: Sql, database: string): Promise<string> {
    const [row] = await admin<{ server: string }[]>`
      select server from _db_gateway_placements where database = ${database}
    `
    return row?.server ?? MAIN_SERVER
  }

  /** Returns the databases of a platform that are on a server, which is not `main`. */
  listOn(platform: string, server: string): Promise<PlacedDatabase[]> {
    return this.#use(
      (sql) => sql<PlacedDatabase[]>`
        select database, platform, tenant_id as "tenantId", schema_name as schema
        from _db_gateway_placements where platform = ${platform} and server = ${server}
        order by database
      `,
    )
  }

  /** Returns the names of the databases that are on a server, which is not `main`. */
  async namesOn(server: string): Promise<Set<string>> {
    const rows = await this.#use(
      (sql) => sql<{ database: string }[]>`
        select database from _db_gateway_placements where server = ${server}
      `,
    )
    return new Set(rows.map(({ database }) => database))
  }

  /**
   * Places a database that is to be created, unless it is placed already, is on `main`, or is being moved.
   * Waits while it is being made or dropped there.
   * @returns the server that it is on
   */
  async place(owner: Owner, server: string): Promise<string> {
    const database = databaseName(owner)
    if (server !== MAIN_SERVER) {
      await this.#use((sql) =>
        inTransaction(sql, async () => {
          await sql`select pg_advisory_xact_lock(${databaseLock(sql, database)})`
          const { count } = await sql`
            insert into _db_gateway_placements (database, platform, tenant_id, schema_name, server)
            select ${database}, ${owner.platform}, ${owner.tenantId}, ${owner.schema}, ${server}
            where not exists (select from _db_gateway_databases where database = ${database})
              and not exists (select from _db_gateway_moves where database = ${database})
            on conflict (database) do nothing
          `
          if (count > 0) await this.#tell(sql, database)
        }),
      )
    }
    return (await this.look(database)) ?? MAIN_SERVER
  }

  /** Moves a database to a server, whatever it was on. */
  async move(owner: Owner, server: string): Promise<void> {
    await this.#use((sql) => this.write(sql, owner, server))
    await this.look(databaseName(owner))
  }

  /** Writes the placement of a database, for a transaction of the caller, who calls `look` then. */
  async write(sql: Sql, owner: Owner, server: string): Promise<void> {
    const database = databaseName(owner)
    if (server === MAIN_SERVER) {
      await sql`delete from _db_gateway_placements where database = ${database}`
    } else {
      await sql`
          insert into _db_gateway_placements (database, platform, tenant_id, schema_name, server)
          values (${database}, ${owner.platform}, ${owner.tenantId}, ${owner.schema}, ${server})
          on conflict (database) do update set server = excluded.server, placed_at = now()
        `
    }
    await this.#tell(sql, database)
  }

  /** Forgets where a database was that is no longer on that server. */
  async forget(database: string, server: string): Promise<void> {
    await this.#use(async (sql) => {
      await sql`delete from _db_gateway_placements where database = ${database} and server = ${server}`
      await this.#tell(sql, database)
    })
    await this.look(database)
  }

  #setAbsent(database: string): void {
    this.#delete(database)
    if (this.#absent.size >= MAX_ABSENT) this.#absent.clear()
    this.#absent.set(database, performance.now() + ABSENT_MS)
  }

  #set(row: Placement): void {
    this.#absent.delete(row.database)
    this.#delete(row.database)
    this.#servers.set(row.database, row)
    const counts = this.#counts.get(row.platform) ?? new Map<string, number>()
    addTo(counts, row.server, 1)
    addTo(this.#totals, row.server, 1)
    this.#counts.set(row.platform, counts)
  }

  #delete(database: string): void {
    const known = this.#servers.get(database)
    if (!known) return
    this.#servers.delete(database)
    const counts = this.#counts.get(known.platform)!
    addTo(counts, known.server, -1)
    addTo(this.#totals, known.server, -1)
    if (counts.size === 0) this.#counts.delete(known.platform)
  }

  async #tell(sql: Sql, database: string): Promise<void> {
    const payload = JSON.stringify({ change: PLACED, database })
    await sql`select pg_notify(${this.#channel}, ${payload})`
  }
}

/** Adds to a count; one of 0 is left out. */
function addTo(counts: Map<string, number>, key: string, number: number): void {
  const sum = (counts.get(key) ?? 0) + number
  if (sum > 0) counts.set(key, sum)
  else counts.delete(key)
}
