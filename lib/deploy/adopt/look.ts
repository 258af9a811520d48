import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'
import { ofGatewayOr, ownedObjects } from '../database/owned-objects.ts'

/** Something in a database that has an owner by itself. */
export interface OwnedObject {
  type: string
  identity: string
  owner: string
}

/** What a database is that no catalog has. */
export interface FoundDatabase {
  /** The role that owns it. */
  previousOwner: string
  /** The table in which migrations are recorded; null: none. */
  ledger: string | null
  /** The migrations that it has recorded as applied, in order. */
  recorded: string[]
  /** Whether there are tables in it. */
  hasTables: boolean
  /** How many objects the platform's role will get. */
  toHandOver: number
  /** What belongs to others than its owner, the gateway's role and the platform's. */
  foreign: OwnedObject[]
  /** It is the administrative database of a gateway. */
  isCatalog: boolean
}

/** The tables of ledgers: that of the gateway and the first original, and that of the later ones. */
const LEDGERS = "'_db_gateway_migrations', '_stonescriptdb_gateway_migrations'"

/** Looks at a database as the gateway's role. `role`: the platform's; null: it has none. */
export async function lookAt(sql: Sql, role: string | null): Promise<FoundDatabase> {
  const [row] = await sql<{ previous: string; has_tables: boolean; is_catalog: boolean }[]>`
    select
      (select pg_get_userbyid(datdba) from pg_database where datname = current_database()) as previous,
      exists (
        select from pg_class
        where relkind in ('r', 'p') and relname !~ '^_(db|stonescriptdb)_gateway_'
          and relnamespace::regnamespace::text !~ '^(pg_|information_schema$|_db_gateway$)'
      ) as has_tables,
      to_regclass('public._db_gateway_databases') is not null as is_catalog
  `
  const { previous, has_tables, is_catalog } = row!
  const ledgers = await readLedgers(sql)
  const known = `${ofGatewayOr(previous)} or pg_get_userbyid(owner) = ${quoteLiteral(role ?? previous)}`
  const foreign = await sql.unsafe<OwnedObject[]>(ownedObjects(`not (${known})`))
  const isGivenAway = role !== null && previous !== role
  const own = isGivenAway ? await sql.unsafe(ownedObjects(ofGatewayOr(previous))) : []
  return {
    previousOwner: previous,
    ledger: ledgers.at(-1)?.table ?? null,
    recorded: [...new Set(ledgers.flatMap(({ migrations }) => migrations))],
    hasTables: has_tables,
    toHandOver: own.length,
    foreign: [...foreign],
    isCatalog: is_catalog,
  }
}

/** Of tables that have nothing but rows: others could have what runs as the gateway. */
async function readLedgers(sql: Sql): Promise<{ table: string; migrations: string[] }[]> {
  const tables = await sql.unsafe<{ table: string }[]>(`
    select c.relname as table
    from pg_class c
    where c.relname in (${LEDGERS}) and c.relnamespace = to_regnamespace('public')
      and c.relkind = 'r' and not c.relrowsecurity
      and 2 = (
        select count(*) from pg_attribute a
        where a.attrelid = c.oid and a.attgenerated = '' and (a.attname, a.atttypid) in (
          ('migration_file', 'text'::regtype), ('applied_at', 'timestamptz'::regtype)
        )
      )
    order by c.relname
  `)
  const ledgers: { table: string; migrations: string[] }[] = []
  for (const { table } of tables) {
    const rows = await sql.unsafe<{ name: string }[]>(
      `select migration_file as name from only public.${table} order by applied_at, migration_file`,
    )
    ledgers.push({ table, migrations: rows.map(({ name }) => name) })
  }
  return ledgers
}
