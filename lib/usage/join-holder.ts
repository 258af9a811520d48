import type { Sql } from '../postgres/pools/connection.ts'

/**
 * Returns SQL that joins, as `d`, the database of the catalog that has the name in `table.database`,
 * or that had it until it was renamed a moment ago: what was counted before goes on under the new name.
 * One that is being moved to another server counts as `hidden_as`, since its rows are copied; one that was
 * moved counts under its name.
 * @param table alias of the counted rows
 */
export function joinHolder(sql: Sql, table: string) {
  const name = sql`${sql(table)}.database`
  return sql`
    left join lateral (
      select coalesce(d.hidden_as, d.database) as database, d.platform, d.tenant_id, d.schema_name
      from (
        select database, platform, tenant_id, schema_name, hidden_as, renamed_from, renamed_at
        from _db_gateway_databases
        union all
        select m.database, m.platform, m.tenant_id, m.schema_name, null, null, null
        from _db_gateway_moved m
        where not exists (select from _db_gateway_databases e where e.database = m.database)
      ) as d
      where d.database = ${name}
        or d.renamed_from = ${name} and d.renamed_at > now() - interval '10 minutes'
      order by d.database = ${name} desc, d.renamed_at desc
      limit 1
    ) as d on true
  `
}
