import type { Sql } from './pools/connection.ts'

const ROWS_AT_ONCE = 5000

/**
 * Deletes some rows of a table of the gateway's own, with an `id`, whose time in `column` is longer ago
 * than so many days.
 * @returns whether there may be more
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
