import type { Sql } from '../../postgres/pools/connection.ts'
import { inTransaction } from '../../postgres/transaction.ts'
import { byCalls, foldFunctions, type Keyed, MAX_ROWS } from './fold.ts'
import { eachRow, type StepRow } from './rows.ts'
import { HOURS_LOCK, STEP_MS, writeHour } from './table.ts'
import { keyOf, Tally } from './tally.ts'

/** An hour is summed up when it ended so long ago, by when all gateways have written it. */
const AFTER = '5 minutes'

/**
 * Sums up the hours that have ended, of all gateways, and those to which a gateway has added later.
 * One gateway at a time does it; the others leave it to that one.
 * @returns the number of hours
 */
export async function rollUp(sql: Sql): Promise<number> {
  return inTransaction(sql, async () => {
    const [lock] = await sql`
      select pg_try_advisory_xact_lock(${sql.unsafe(HOURS_LOCK)}) as is_mine
    `
    if (!lock!.is_mine) return 0
    const hours = await sql<{ at: number }[]>`
      select (extract(epoch from m.hour) * 1000)::float8 as at
      from (
        select date_trunc('hour', at, 'UTC') as hour, max(written_at) as written_at
        from _db_gateway_call_minutes
        where at < date_trunc('hour', now() - ${AFTER}::text::interval, 'UTC')
        group by 1
      ) as m
      left join lateral (
        select made_at from _db_gateway_call_hours where at = m.hour limit 1
      ) as h on true
      -- A minute that was being written was not seen.
      where h.made_at is null or m.written_at > h.made_at - interval '1 minute'
      order by 1
    `
    for (const { at } of hours) await rollUpHour(sql, at)
    return hours.length
  })
}

async function rollUpHour(sql: Sql, at: number): Promise<void> {
  const query = { from: new Date(at), to: new Date(at + STEP_MS.hour) }
  const functions = new Map<string, Keyed>()
  await eachRow(sql, 'minute', query, (row) => addTo(functions, row))
  const apart = new Map<string, Keyed>()
  const tenants = new Map<string | null, string | null>()
  await eachRow(sql, 'minute', { ...query, perDatabase: true }, (row) => {
    addTo(apart, row)
    tenants.set(row.database, row.tenantId)
  })
  const most = [...apart.values()].sort(byCalls).slice(0, MAX_ROWS)
  const rows = [...foldFunctions([...functions.values()]), ...most].map(({ key, tally }) => ({
    ...key,
    ...tally.pack(),
    tenantId: tenants.get(key.database) ?? null,
  }))
  await writeHour(sql, query.from, rows)
}

function addTo(sums: Map<string, Keyed>, row: StepRow): void {
  const { platform, database, function: name } = row
  const key = keyOf(row)
  const sum = sums.get(key) ?? { key: { platform, database, function: name }, tally: new Tally() }
  sum.tally.addSums(row)
  sums.set(key, sum)
}
