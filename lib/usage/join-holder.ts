import type { Sql } from '../postgres/pools/connection.ts'

/**
 * Returns SQL that joins, as `d`, the database of the catalog that has the name in `table.database`,
 * or that had it until it was renamed a moment ago: what was counted before goes on under the new name.
 * @param table alias of the counted rows
 */
export function joinHolder(sql: Sql, table: string) {
  const name = sql`${sql(table)}.database`
  return sql`
    left join lateral (
      select * from _db_gateway_databases d
      where d.database = ${name}
        or d.renamed_from = ${name} and d.renamed_at > now() - interval '10 minutes'
      order by d.database = ${name} desc, d.renamed_at desc
      limit 1
    ) as d on true
  `
}
