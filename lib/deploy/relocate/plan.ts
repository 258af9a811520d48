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
  if (how === 'auto') return choose(servers, owner, maxWaitMs)
  const refusal = await whyNotReplicated(servers, owner)
  if (refusal) throw refusal
  return { how }
}

/** Replicates what calls cannot wait for while it is dumped, where that is possible. */
async function choose(servers: MoveServers, owner: Owner, maxWaitMs: number): Promise<Plan> {
  const bytes = await sizeOf(servers, owner)
  const estimatedMs = estimateMs(bytes)
  const takes = `a dump of ${(bytes / 1e6).toFixed(1)} MB takes some ${inSeconds(estimatedMs)} s`
  const wait = `calls may wait for ${inSeconds(maxWaitMs)} s`
  if (estimatedMs <= maxWaitMs) return { how: 'dump', why: `${takes}, and ${wait}` }
  const refusal = await whyNotReplicated(servers, owner)
  if (refusal) return { how: 'dump', why: 'logical replication is not possible', refusal }
  return { how: 'replicate', why: `${takes}, and ${wait} alone` }
}

const inSeconds = (ms: number) => (ms / 1000).toFixed(1)

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
