import { databaseName, type Owner } from '../../tenancy/names.ts'
import type { AskedHow, Plan } from './how.ts'
import { whyNotReplicated } from './replicate/possible.ts'
import type { MoveServers } from './servers.ts'
import { estimateMs } from './size.ts'

/**
 * Decides how a database is moved.
 * @throws {GatewayError} move_refused if it is to be replicated and cannot be; errors of PostgreSQL
 */
export async function planMove(
  servers: MoveServers,
  { owner, how, maxWaitMs }: { owner: Owner; how: AskedHow; maxWaitMs: number },
): Promise<Plan> {
  if (how === 'dump') return { how }
  if (how === 'auto' && estimateMs(await sizeOf(servers, owner)) <= maxWaitMs)
    return { how: 'dump' }
  const refusal = await whyNotReplicated(servers, owner)
  if (!refusal) return { how: 'replicate' }
  if (how === 'replicate') throw refusal
  return { how: 'dump', refusal }
}

/** Size in bytes; 0 if there is no such database. */
async function sizeOf({ source }: MoveServers, owner: Owner): Promise<number> {
  const [row] = await source.catalog.use(
    (sql) => sql<{ bytes: number }[]>`
      select pg_database_size(oid)::float8 as bytes from pg_database
      where datname = ${databaseName(owner)}
    `,
  )
  return row?.bytes ?? 0
}
