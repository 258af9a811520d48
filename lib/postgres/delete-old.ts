import type { Sql } from './pools/connection.ts'

const ROWS_AT_ONCE = 5000

/**
 * Deletes at most 5,000 rows whose timestamp in `column` is more than `days` days old.
 * The table is one of the gateway's own and has a column `id`.
 * @returns whether more such rows may be left
 */
export async function deleteOld(
  sql: Sql,
  { table, column }: { table: string; column: string },
  days: number,
): Promise<boolean> {
  const { count } = await sql`
    delete from ${sql(table)} where id in (
      select id from ${sql(table)}
      where ${sql(column)} < now() - make_interval(days => ${days}::integer)
      limit ${ROWS_AT_ONCE}
    )
  `
  return count === ROWS_AT_ONCE
}
