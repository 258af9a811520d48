import { GatewayError } from './errors.ts'
import type { Gateway } from './gateway.ts'
import type { ReplicaStatus } from './postgres/replicas.ts'
import type { Isolation } from './roles.ts'

export interface Health {
  status: 'healthy' | 'unhealthy'
  postgres_connected: boolean
  active_pools: number
  total_connections: number
  uptime_seconds: number
  /** Alive on this PostgreSQL, this one too. */
  gateways: number
  /** Whether PostgreSQL keeps the platforms apart. */
  isolation: Isolation
  /** Where there are any. */
  replicas?: ReplicaStatus[] | undefined
}

/** The answer has to be out within 2 s. */
const PROBE_LIMIT_MS = 1500

/** With all connections busy, an answer this fresh shows that PostgreSQL works. */
const FRESH_ANSWER_MS = 5000

/** Asks PostgreSQL whether it is there; answers within 2 s whatever happens. */
export async function checkHealth(gateway: Gateway): Promise<Health> {
  const isConnected = await probe(gateway)
  const { pools, connections } = gateway.pools.status()
  return {
    status: isConnected ? 'healthy' : 'unhealthy',
    postgres_connected: isConnected,
    active_pools: pools,
    total_connections: connections,
    uptime_seconds: Math.floor((performance.now() - gateway.startedAt) / 1000),
    gateways: gateway.gateways.alive().length,
    isolation: gateway.roles.isolation,
    replicas: gateway.replicas?.status(),
  }
}

async function probe({ pools, server }: Gateway): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), PROBE_LIMIT_MS)
  })
  const answer = pools.lease(server.database, { waitMs: PROBE_LIMIT_MS }).then(
    async (lease) => {
      try {
        await Promise.race([
          lease.sql`select 1`,
          timeout.then(() => Promise.reject(new Error('No answer in time'))),
        ])
        lease.release()
        return true
      } catch {
        lease.destroy()
        return false
      }
    },
    (error) =>
      error instanceof GatewayError &&
      error.code === 'pool_exhausted' &&
      pools.sinceLastAnswer() < FRESH_ANSWER_MS,
  )
  try {
    return await Promise.race([answer, timeout])
  } finally {
    clearTimeout(timer)
  }
}
