import type { Log } from '../log.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import type { Placements } from './placements.ts'

/** What it needs of the parts of a server. */
interface Member {
  catalog: { use<T>(work: (sql: Sql) => Promise<T>): Promise<T> }
}

interface Row {
  database: string
  platform: string
  tenantId: string | null
  schema: string | null
}

/** Databases that a line of the log names. */
const MAX_NAMED = 5

/**
 * Compares the places of a server's databases with its catalog, which may have been restored, or left by a
 * gateway that was killed: databases without a place get theirs. Places without a database stay and are
 * logged: what has been opened may be an older copy of the server, while other gateways have the server
 * itself. A request for such a name makes the database there, or gives the place up.
 */
export async function reconcile(
  name: string,
  { catalog }: Member,
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
  if (placed.size === 0) return
  log.warn(
    `The catalog of ${name} has not ${placed.size} of the databases that are on it as main says: is it an older copy of the server?`,
    { server: name, databases: [...placed].slice(0, MAX_NAMED).join(', ') },
  )
}
