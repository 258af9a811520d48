import type { Sql } from './pools/connection.ts'

/**
 * Returns the platforms of all rows, by one index probe for each platform. The table is one of the
 * gateway's own, with an index that begins with the column `platform`.
 */
export async function distinctPlatforms(sql: Sql, table: string): Promise<string[]> {
  const rows = await sql<{ platform: string }[]>`
    with recursive named as (
      select min(platform) as platform from ${sql(table)}
      union all
      select (select min(t.platform) from ${sql(table)} t where t.platform > n.platform)
      from named n where n.platform is not null
    )
    select platform from named where platform is not null
  `
  return rows.map((row) => row.platform)
}
