import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import { noteLimits, noteSchemas, noteSuspensions } from '../../tenancy/catalog/catalog-identity.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'

type Row = Record<string, unknown>

/** Tables of a catalog with rows of a database, but for that of databases; and how they are told apart. */
const HISTORY: { table: string; key: string; without: string[] }[] = [
  { table: '_db_gateway_deployments', key: 'id', without: ['id'] },
  { table: '_db_gateway_usage', key: 'day, function', without: [] },
  { table: '_db_gateway_call_minutes', key: 'at, gateway, slot', without: [] },
  { table: '_db_gateway_call_hours', key: 'at, slot', without: ['slot'] },
  { table: '_db_gateway_slow_calls', key: 'id', without: [] },
]

/** Rows that are copied at once. */
const ROWS = 1000

/** Columns of the entry that are true of one server alone. */
const ANEW = {
  functions_digest: null,
  functions_version: null,
  held_until: null,
  held_for: null,
  held_retry_s: null,
  hidden_as: null,
  renamed_from: null,
  renamed_at: null,
}

/**
 * Copies all that one server's catalog has of an owner's database to the catalog of another one, in
 * the transaction that is open there: the entry with labels, limits, suspension, scheduled drop and
 * stored schemas, and the history with what was used.
 * @param role role of the platform on the other server
 */
export async function copyCatalogRows(
  from: Sql,
  to: Sql,
  owner: Owner,
  role: string,
): Promise<void> {
  const database = databaseName(owner)
  const [entry] = await from<{ row: Row }[]>`
    select to_jsonb(d) as row from _db_gateway_databases d where database = ${database}
  `
  const row = { ...entry!.row, ...ANEW, owner_role: role }
  await to`delete from _db_gateway_creations where database = ${database}`
  await insert(to, '_db_gateway_databases', [row])
  if (owner.schema !== null) await noteSchemas(to)
  if (entry!.row.suspended_at) await noteSuspensions(to)
  if (entry!.row.limits) await noteLimits(to)
  for (const { table, key, without } of HISTORY) {
    const rows = from<{ row: Row }[]>`
      select to_jsonb(t) as row from ${from(table)} t where database = ${database}
      order by ${from.unsafe(key)}
    `
    await rows.cursor(ROWS, (some) => copyHistory(to, table, without, some))
  }
}

/** Deletes what a catalog has of a database beside its entry. */
export async function deleteHistory(sql: Sql, database: string): Promise<void> {
  for (const { table } of HISTORY) await sql`delete from ${sql(table)} where database = ${database}`
}

async function copyHistory(
  to: Sql,
  table: string,
  without: string[],
  some: Iterable<{ row: Row }>,
): Promise<void> {
  const rows = [...some].map(({ row }) => {
    const copied = { ...row }
    for (const column of without) delete copied[column]
    return copied
  })
  if (table === '_db_gateway_call_hours') await insertHours(to, rows)
  else await insert(to, table, rows)
}

/** Inserts rows; one that is there already, by its key, stays as it is. */
async function insert(to: Sql, table: string, rows: Row[]): Promise<void> {
  if (rows.length === 0) return
  const columns = Object.keys(rows[0]!).map(quoteIdentifier).join(', ')
  await to.unsafe(
    `insert into ${table} (${columns})
     select ${columns} from jsonb_populate_recordset(null::${table}, $1::text::jsonb)
     on conflict do nothing`,
    [JSON.stringify(rows)],
  )
}

/** The rows of an hour are numbered: those that come get the numbers after those that are there. */
async function insertHours(to: Sql, rows: Row[]): Promise<void> {
  if (rows.length === 0) return
  const columns = Object.keys(rows[0]!).map(quoteIdentifier).join(', ')
  await to.unsafe(
    `insert into _db_gateway_call_hours (slot, ${columns})
     select (select coalesce(max(slot), -1) from _db_gateway_call_hours h where h.at = r.at)
       + row_number() over (partition by at), ${columns}
     from jsonb_populate_recordset(null::_db_gateway_call_hours, $1::text::jsonb) r`,
    [JSON.stringify(rows)],
  )
}
