import type postgres from 'postgres'
import { concurrently } from '../../lib/common/concurrently.ts'
import type { Json } from '../helpers/gateway.ts'
import { contentsOf, DUMP, TABLES } from './dump.ts'
import { BEGUN_STATE, type PlatformState, READ_STATE } from './platform.ts'
import type { MortalPostgres } from './postgres.ts'

/** What was found in a database. */
export type Content = Deployed | Begun | 'absent' | 'empty'

export interface Deployed {
  state: PlatformState
  dump: Json
}

/** A new database whose first deploy has committed some migrations, and nothing else. */
export interface Begun {
  begun: BegunState
}

/** The part of `PlatformState` that migrations make. */
export type BegunState = Pick<
  PlatformState,
  'migrations' | 'journal' | 'steps' | 'columns' | 'tables'
>

const AT_ONCE = 6

/** Reads databases, each with a connection that it keeps: most of them are read again and again. */
export class Reader {
  readonly #server: MortalPostgres
  readonly #connections = new Map<string, postgres.Sql>()

  constructor(server: MortalPostgres) {
    this.#server = server
  }

  /** What is in each of the databases, by name. */
  async readAll(databases: string[]): Promise<Map<string, Content>> {
    const names = await existingDatabases(this.#server)
    const contents = new Map<string, Content>()
    await concurrently(databases, AT_ONCE, async (database) => {
      contents.set(database, names.has(database) ? await this.read(database) : 'absent')
    })
    return contents
  }

  async read(database: string): Promise<Exclude<Content, 'absent'>> {
    const sql = this.#connections.get(database) ?? this.#server.connect(database)
    this.#connections.set(database, sql)
    if (await isEmpty(sql)) return 'empty'
    if (await isBegun(sql)) {
      const [begun] = await sql.unsafe<[BegunState]>(BEGUN_STATE)
      return { begun: { ...begun } }
    }
    const [state] = await sql.unsafe<[PlatformState]>(READ_STATE)
    return { state: { ...state }, dump: await readDump(sql) }
  }

  /** Closes its connections. */
  async close(): Promise<void> {
    const connections = [...this.#connections.values()]
    this.#connections.clear()
    await Promise.all(connections.map((sql) => sql.end({ timeout: 1 })))
  }
}

async function readDump(sql: postgres.Sql): Promise<Json> {
  const [row] = await sql.unsafe<[{ dump: Json }]>(DUMP)
  const tables = await sql.unsafe<{ name: string }[]>(TABLES)
  const contents = await sql.unsafe(contentsOf(tables.map(({ name }) => name)))
  return { ...row.dump, contents: Object.fromEntries(contents.map((one) => [one.name, one.rows])) }
}

/** Whether nobody has made anything in it, but for the ledger, in which nothing is. */
async function isEmpty(sql: postgres.Sql): Promise<boolean> {
  const [row] = await sql<[{ objects: number }]>`
    with spaces as (
      select oid from pg_namespace
      where nspname !~ '^pg_' and nspname not in ('information_schema', '_db_gateway')
    )
    select (
      (select count(*) from pg_class
        where relnamespace in (select oid from spaces) and relname !~ '^_db_gateway_')
      + (select count(*) from pg_proc where pronamespace in (select oid from spaces))
      + (select count(*) from pg_type
        where typnamespace in (select oid from spaces) and typname !~ '^_+db_gateway_')
    )::integer as objects
  `
  return row.objects === 0
}

/** Whether migrations have run in it, and no deploy was completed. */
async function isBegun(sql: postgres.Sql): Promise<boolean> {
  const [row] = await sql<[{ begun: boolean }]>`
    select exists (select from _db_gateway_migrations)
      and not exists (select from _db_gateway_deployments where status = 'completed') as begun
  `
  return row.begun
}

export async function existingDatabases(server: MortalPostgres): Promise<Set<string>> {
  const rows = await server.query('select datname from pg_database')
  return new Set(rows.map(({ datname }) => datname))
}

/** The databases that the catalog has of a platform. */
export async function catalogOf(server: MortalPostgres, platform: string): Promise<Set<string>> {
  const rows = await server.query(
    `select database from _db_gateway_databases where platform = '${platform}'`,
  )
  return new Set(rows.map(({ database }) => database))
}

/** Removes a platform with everything that it has. */
export async function dropPlatform(server: MortalPostgres, platform: string): Promise<void> {
  await concurrently([...(await catalogOf(server, platform))], AT_ONCE, async (database) => {
    // Autovacuum may be at work in it, which only a superuser may end.
    await server.queryAsSuperuser(`drop database ${database} with (force)`)
  })
  await server.query(`delete from _db_gateway_databases where platform = '${platform}'`)
}
