import { afterAll, beforeAll, inject } from 'vitest'
import { parseDatabaseUrl, type Server } from '../../../../../lib/postgres/hosts/server.ts'
import type { Sql } from '../../../../../lib/postgres/pools/connection.ts'
import type { Lease } from '../../../../../lib/postgres/pools/lease.ts'
import { type PlatformOf, type PoolLimits, Pools } from '../../../../../lib/postgres/pools/pools.ts'
import { connectTo, dropDatabase, queryDatabase, uniqueName } from '../../../../helpers/gateway.ts'

export const server = parseDatabaseUrl(inject('databaseUrl'))

export const databases = Array.from({ length: 12 }, () => uniqueName('pool'))

export let watcher: Sql

/** Starts what the tests of a file use; each file calls this at its top. */
export function setUp(): void {
  beforeAll(async () => {
    for (const name of databases) {
      await queryDatabase(server.database, `create database ${name} strategy file_copy`)
    }
    watcher = connectTo(server.database)
  })

  afterAll(async () => {
    await watcher.end()
    for (const name of databases) await dropDatabase(name)
  })
}

export const LIMITS: PoolLimits = {
  maxConnectionsPerPool: 10,
  maxTotalConnections: 5,
  maxConnectionsPerPlatform: Number.POSITIVE_INFINITY,
  maxQueuePerDatabase: 250,
  poolMaxLifetimeMs: 3600_000,
  poolIdleTimeoutMs: 60_000,
  poolWaitTimeoutMs: 5000,
  connectTimeoutMs: 5000,
  statementTimeoutMs: 30_000,
}

export async function withPools(
  limits: Partial<PoolLimits>,
  work: (pools: Pools) => Promise<void>,
  more: { platformOf?: PlatformOf; at?: Partial<Server> } = {},
) {
  const pools = new Pools(
    { ...server, applicationName: uniqueName('app'), ...more.at },
    { ...LIMITS, ...limits },
    more.platformOf,
  )
  try {
    await work(pools)
  } finally {
    await pools.end()
  }
}

/** Open connections of these pools, as PostgreSQL sees them. */
export async function openConnections(pools: Pools): Promise<{ datname: string; pid: number }[]> {
  return watcher`
    select datname, pid from pg_stat_activity
    where application_name = ${pools.server.applicationName}
  `
}

/** The answer of a session to one statement, as texts. */
export async function ask(lease: Lease, text: string): Promise<string[]> {
  const session = await lease.session
  return (await session.run({ text, values: [] }).result).rows[0]!.map(String)
}

export const sessionPid = async (lease: Lease) =>
  Number((await ask(lease, 'select pg_backend_pid()'))[0])

/** Opens a session, which is idle afterwards. */
export async function openSession(pools: Pools, database: string): Promise<void> {
  const lease = await pools.leaseSession(database)
  await sessionPid(lease)
  lease.release()
}

export const backendPid = async (sql: Sql) => (await sql`select pg_backend_pid() as pid`)[0]!.pid
