import { GatewayError } from '../../errors.ts'
import { forEachBatch } from '../../postgres/batches.ts'
import { isPostgresError } from '../../postgres/errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import { LOCK_NOT_AVAILABLE } from '../../postgres/sqlstates.ts'
import { noteLimits, noteSchemas, noteSuspensions } from '../../tenancy/catalog/catalog-identity.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import { moveSlow } from '../../usage/slow/table.ts'
import { ADD_TO_COUNTS, moveUsage } from '../../usage/table.ts'
import { HOURS_LOCK, moveTimes } from '../../usage/times/table.ts'

type Row = Record<string, unknown>

/** Tables of a catalog with rows of a database, but for that of databases; and how they are told apart. */
const HISTORY: { table: string; key: string; without: string[] }[] = [
  { table: '_db_gateway_deployments', key: 'id', without: ['id'] },
  { table: '_db_gateway_usage', key: 'day, function', without: [] },
  { table: '_db_gateway_call_minutes', key: 'at, gateway, slot', without: ['slot', 'written_at'] },
  { table: '_db_gateway_call_hours', key: 'at, slot', without: ['slot'] },
  { table: '_db_gateway_slow_calls', key: 'id', without: [] },
]

/** Hours of which there are minutes are summed up anew, with those of the other server. */
const IS_IN_NO_MINUTES = `and not exists (
  select from _db_gateway_call_minutes m where m.at >= t.at and m.at < t.at + interval '1 hour'
)`

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
 * @param waitMs how long gateways may sum up hours of usage there meanwhile
 * @throws {GatewayError} tenant_busy if they take longer
 */
export async function copyCatalogRows(
  from: Sql,
  to: Sql,
  owner: Owner,
  role: string,
  waitMs: number,
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
        ${table === '_db_gateway_call_hours' ? from.unsafe(IS_IN_NO_MINUTES) : from``}
      order by ${from.unsafe(key)}
    `
    await forEachBatch(rows, ROWS, (some) => copyHistory(to, table, without, some, waitMs))
  }
}

/** Deletes what a catalog has of a database beside its entry. */
export async function deleteHistory(sql: Sql, database: string): Promise<void> {
  for (const { table } of HISTORY) await sql`delete from ${sql(table)} where database = ${database}`
}

/**
 * Gives a database what was counted of it under the name that it has had since its history was copied, or
 * was about to be (see `joinHolder`): gateways write late what they have counted.
 */
export async function takeBackUsage(sql: Sql, owner: Owner, kept: string): Promise<void> {
  const to = { database: databaseName(owner), tenantId: owner.tenantId }
  await moveUsage(sql, kept, to)
  await moveTimes(sql, kept, to)
  await moveSlow(sql, kept, to)
}

async function copyHistory(
  to: Sql,
  table: string,
  without: string[],
  some: { row: Row }[],
  waitMs: number,
): Promise<void> {
  const rows = some.map(({ row }) => {
    const copied = { ...row }
    for (const column of without) delete copied[column]
    if (table === '_db_gateway_call_minutes') copied.gateway = NOBODY
    return copied
  })
  const numbered = NUMBERED[table]
  if (numbered) await insertNumbered(to, table, numbered, rows, waitMs)
  else await insert(to, table, rows, table === '_db_gateway_usage' ? ADD_TO_COUNTS : undefined)
}

/** Inserts rows; one that is there already, by its key, stays as it is without an `onConflict`. */
async function insert(
  to: Sql,
  table: string,
  rows: Row[],
  onConflict = 'on conflict do nothing',
): Promise<void> {
  if (rows.length === 0) return
  const columns = Object.keys(rows[0]!).map(quoteIdentifier).join(', ')
  await to.unsafe(
    `insert into ${table} as t (${columns})
     select ${columns} from jsonb_populate_recordset(null::${table}, $1::text::jsonb)
     ${onConflict}`,
    [JSON.stringify(rows)],
  )
}

/** Tables whose rows are numbered by `slot`, and the columns in which those of one series are the same. */
const NUMBERED: { [table: string]: string[] } = {
  _db_gateway_call_hours: ['at'],
  _db_gateway_call_minutes: ['at', 'gateway'],
}

/** Gateway of minutes that were moved: a gateway numbers its own, and knows which it has written. */
const NOBODY = '00000000-0000-0000-0000-000000000000'

/**
 * The rows that come get the numbers after those that are there. Until the transaction ends, nobody else
 * numbers such rows: neither another move nor a gateway that sums up hours.
 */
async function insertNumbered(
  to: Sql,
  table: string,
  key: string[],
  rows: Row[],
  waitMs: number,
): Promise<void> {
  if (rows.length === 0) return
  // The sums of an hour may take longer than the role waits for locks.
  const lock = `set local lock_timeout = ${waitMs}; select pg_advisory_xact_lock(${HOURS_LOCK})`
  await to.unsafe(lock).catch((error) => {
    if (!isPostgresError(error) || error.code !== LOCK_NOT_AVAILABLE) throw error
    throw new GatewayError(
      'tenant_busy',
      `Gateways sum up hours of usage on the other server, which the move has waited for ${waitMs} ms: try it again`,
    )
  })
  const columns = Object.keys(rows[0]!).map(quoteIdentifier).join(', ')
  const isSame = key.map((column) => `t.${column} = r.${column}`).join(' and ')
  await to.unsafe(
    `insert into ${table} (slot, ${columns})
     select coalesce((select max(slot) from ${table} t where ${isSame}), -1)
       + row_number() over (partition by ${key.join(', ')}), ${columns}
     from jsonb_populate_recordset(null::${table}, $1::text::jsonb) r`,
    [JSON.stringify(rows)],
  )
}
