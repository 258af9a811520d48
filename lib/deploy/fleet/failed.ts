import type { Sql } from '../../postgres/pools/connection.ts'

/** Returns the databases of a platform, as far as the server has them, whose last deploy failed. */
export async function readFailed(sql: Sql, platform: string): Promise<Set<string>> {
  const rows = await sql<{ database: string }[]>`
    select c.database
    from _db_gateway_databases c
    join pg_database d on d.datname = c.database
    cross join lateral (
      select status, deployed_at
      from _db_gateway_deployments
      where database = c.database
      order by deployed_at desc, id desc
      limit 1
    ) as last
    where c.platform = ${platform} and last.status = 'failed'
      and last.deployed_at > coalesce(c.last_deployed_at, '-infinity')
  `
  return new Set(rows.map(({ database }) => database))
}
