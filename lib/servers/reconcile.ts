import type { Log } from '../log.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import type { Placements } from './placements.ts'

/** What it needs of the parts of a server. */
interface Member {
  catalog: { use<T>(work: (sql: Sql) => Promise<T>): Promise<T> }
  deploys: { leaveUnmade(database: string): Promise<void> }
}

interface Row {
  database: string
  platform: string
  tenantId: string | null
  schema: string | null
}

/**
 * Has the places of a server's databases agree with its catalog, which may have been restored, or left by
 * a gateway that was killed: databases without a place get theirs, and places without a database are
 * given up, unless one is being made there.
 */
export async function reconcile(
  name: string,
  { catalog, deploys }: Member,
  placements: Placements,
  log: Log,
): Promise<void> {
  const rows = await catalog.use(
    (sql) => sql<Row[]>`
      select database, platform, tenant_id as "tenantId", schema_name as schema
      from _db_gateway_databases
    `,
  )
  const placed = await placements.namesOn(name)
  for (const row of rows) {
    const { database } = row
    if (placed.delete(database)) continue
    const there = await placements.place(row, name)
    if (there === name)
      log.warn('A database has got the place that was lost', { database, server: name })
    else log.error(`A database is on ${name} and on ${there}`, { database })
  }
  for (const database of placed) await deploys.leaveUnmade(database)
}
