import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'
import { inTransaction } from '../../postgres/transaction.ts'
import { ofGatewayOr, ownedObjects } from '../database/owned-objects.ts'
import { isInert } from '../ledger/inert.ts'

/** An object that has an owner of its own. */
export interface OwnedObject {
  type: string
  identity: string
  owner: string
}

/** Properties of a database that no catalog lists. */
export interface FoundDatabase {
  /** The role that owns it. */
  previousOwner: string
  /** Table that records the applied migrations; null if there is none. */
  ledger: string | null
  /** Migrations recorded as applied, in the order of their application. */
  recorded: string[]
  /** The database has tables other than the gateway's. */
  hasTables: boolean
  /** Number of objects whose owner becomes the platform's role. */
  toHandOver: number
  /**
   * Objects owned by roles other than the previous owner, the gateway's role and the platform's.
   */
  foreign: OwnedObject[]
  /** The database is the administrative database of a gateway. */
  isCatalog: boolean
}

/**
 * Ledger tables: that of the gateway and the first original gateway, and that of later originals.
 */
const LEDGERS = ['_db_gateway_migrations', '_stonescriptdb_gateway_migrations']

/**
 * Examines a database as the gateway's role.
 * @param role the platform's role; null if it has none
 */
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

/**
 * Reads ledgers from plain, inert tables only (`isInert`). A view or a table with row level security
 * could run code of its owner with the rights of the gateway.
 */
async function readLedgers(sql: Sql): Promise<{ table: string; migrations: string[] }[]> {
  const ledgers: { table: string; migrations: string[] }[] = []
  for (const table of LEDGERS) {
    const migrations = await inTransaction(sql, () => readLedger(sql, table))
    if (migrations) ledgers.push({ table, migrations })
  }
  return ledgers
}

/**
 * Reads one ledger. The lock waits for whoever is putting another relation in the place of the table, or
 * an index on it; what is there then is looked at, and stays as it is.
 */
async function readLedger(sql: Sql, table: string): Promise<string[] | undefined> {
  const isPlain = async () => (await sql.unsafe(plainSql(table))).length > 0
  if (!(await isPlain())) return undefined
  await sql.unsafe(`lock table only public.${table} in share update exclusive mode`)
  if (!(await isPlain())) return undefined
  const rows = await sql.unsafe<{ name: string }[]>(
    `select migration_file as name from only public.${table} order by applied_at, migration_file`,
  )
  return rows.map(({ name }) => name)
}

/** Returns SQL for a row if a table is plain and inert, and the gateway's role may lock it. */
function plainSql(table: string): string {
  return `
    select from pg_class c
    where c.relname = '${table}' and c.relnamespace = to_regnamespace('public')
      and c.relkind = 'r' and not c.relrowsecurity and ${isInert('c')}
      and pg_has_role(c.relowner, 'usage')
      and 2 = (
        select count(*) from pg_attribute a
        where a.attrelid = c.oid and a.attgenerated = '' and (a.attname, a.atttypid) in (
          ('migration_file', 'text'::regtype), ('applied_at', 'timestamptz'::regtype)
        )
      )
  `
}
