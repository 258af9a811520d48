import type { Sql } from '../../../postgres/pools/connection.ts'
import type { Owner } from '../../../tenancy/names.ts'
import { moveRefused } from '../check.ts'
import { REPLICATED } from './published.ts'

/**
 * Reads a digest of the replicated tables. It changes when a table is made or dropped, also under the
 * same name, and when ALTER TABLE touches a column. What such a command writes is not replicated.
 * @param sql session in the source
 */
export async function readTables(sql: Sql): Promise<string> {
  // Each change of a column is a new version of its row, with another xmin. Rows of dropped columns stay.
  const [row] = await sql.unsafe<{ digest: string }[]>(`
    select md5(coalesce(
      string_agg(format('%s %s %s', c.oid, a.attnum, a.xmin), ',' order by c.oid, a.attnum), ''
    )) as digest
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
    where ${REPLICATED}
  `)
  return row!.digest
}

/**
 * Checks that the tables are those of `readTables` before.
 * @param sql session in the source
 * @throws {GatewayError} move_refused
 */
export async function checkTables(sql: Sql, owner: Owner, tables: string): Promise<void> {
  if ((await readTables(sql)) === tables) return
  throw moveRefused(
    owner,
    'a table was made, dropped or altered while it was replicated',
    'Send the request again when no call and nobody by hand does that, or move it with "how": "dump"',
  )
}
