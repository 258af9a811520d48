import { forEachBatch } from '../../postgres/batches.ts'
import type { Sql } from '../../postgres/pools/connection.ts'

/** Kept answers that are copied at once: one may have megabytes. */
const ANSWERS = 20

/**
 * Copies the answers that are kept for calls with an Idempotency-Key. Dumps do not have them.
 * @param from session of the gateway's own role in the source
 * @param to the same in the copy, which has the table already
 */
export async function copyAnswers(from: Sql, to: Sql): Promise<void> {
  const [has] = await from<{ has: boolean }[]>`
    select to_regclass('_db_gateway.answers') is not null as has
  `
  if (!has!.has) return
  const kept = from<{ row: object }[]>`
    select to_jsonb(a) as row from _db_gateway.answers a
    where a.rows is not null and a.expires_at > clock_timestamp()
  `
  await forEachBatch(kept, ANSWERS, async (some) => {
    const rows = JSON.stringify(some.map(({ row }) => row))
    await to.unsafe(
      `insert into _db_gateway.answers
       select * from jsonb_populate_recordset(null::_db_gateway.answers, $1::text::jsonb)
       on conflict do nothing`,
      [rows],
    )
  })
}
