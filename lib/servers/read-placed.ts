import type { Sql } from '../postgres/pools/connection.ts'
import type { PlacedDatabase, ServerTotals } from './rebalance.ts'

/** What is on a server, and which of it may be moved. */
export interface OnServer {
  totals: ServerTotals
  movable: PlacedDatabase[]
}

interface Row extends Omit<PlacedDatabase, 'server'> {
  is_movable: boolean
}

/**
 * Reads what is on a server, from its catalog. Main databases stay where they are, and tenants that are
 * to be dropped, that are held, or that no deploy has handed over.
 */
export async function readPlaced(sql: Sql, server: string): Promise<OnServer> {
  const rows = await sql<Row[]>`
    select d.platform, d.tenant_id, d.schema_name, d.database,
      pg_database_size(p.oid)::float8 as bytes, coalesce(m.held_ms, 0)::float8 as load,
      d.tenant_id is not null and d.drop_at is null and d.owner_role is not null
        and coalesce(d.held_until <= now(), true) as is_movable
    from _db_gateway_databases d
    join pg_database p on p.datname = d.database
    left join (
      select database, sum(held_ms) as held_ms from _db_gateway_call_minutes
      where at > now() - interval '1 hour' and database is not null
      group by database
    ) m on m.database = d.database
    order by d.database
  `
  const totals = { server, databases: rows.length, bytes: 0, load: 0 }
  const movable: PlacedDatabase[] = []
  for (const { is_movable, ...row } of rows) {
    totals.bytes += row.bytes
    totals.load += row.load
    if (is_movable) movable.push({ server, ...row })
  }
  return { totals, movable }
}
