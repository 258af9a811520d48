import packageJson from '../package.json' with { type: 'json' }
import type { Gateways } from './cluster/gateways.ts'
import type { ReplicaStatus, Replicas } from './postgres/hosts/replicas.ts'
import type { Pools } from './postgres/pools/pools.ts'
import type { Isolation, Roles } from './tenancy/roles/roles.ts'

/** The body of GET /health. */
export interface HealthReport {
  status: 'healthy' | 'unhealthy'
  version: string
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

/** How long an answer of PostgreSQL, to anything, shows that it works. */
const FRESH_ANSWER_MS = 5000

/** The answer of /health has to be out within 2 s. */
const PROBE_LIMIT_MS = 1500

export interface HealthOptions {
  /** Milliseconds since PostgreSQL last answered. */
  sinceLastAnswer: () => number
  /** Asks PostgreSQL; resolves when it has answered. */
  probe: (withinMs: number) => Promise<unknown>
}

/**
 * Whether PostgreSQL works, by its last answer to anything: a gateway that is busy is healthy. It
 * is asked only where that is old, and once for all who want to know.
 */
export class Health {
  readonly #options: HealthOptions
  #probing: Promise<boolean> | undefined
  /** The gateway is stopping: it takes no new connections. */
  isDraining = false

  constructor(options: HealthOptions) {
    this.#options = options
  }

  /** At once where PostgreSQL answered in the last 5 s, and within 1.5 s otherwise. */
  async isConnected(): Promise<boolean> {
    if (this.#options.sinceLastAnswer() < FRESH_ANSWER_MS) return true
    this.#probing ??= this.#probe().finally(() => {
      this.#probing = undefined
    })
    return this.#probing
  }

  /** Whether new requests should be sent here. */
  async isReady(): Promise<boolean> {
    return !this.isDraining && (await this.isConnected())
  }

  async #probe(): Promise<boolean> {
    const { sinceLastAnswer, probe } = this.#options
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<boolean>((resolve) => {
      // A call may have been answered meanwhile.
      const isFresh = () => resolve(sinceLastAnswer() < FRESH_ANSWER_MS)
      timer = setTimeout(isFresh, PROBE_LIMIT_MS)
    })
    const answer = probe(PROBE_LIMIT_MS).then(
      () => true,
      () => sinceLastAnswer() < FRESH_ANSWER_MS,
    )
    try {
      return await Promise.race([answer, timeout])
    } finally {
      clearTimeout(timer)
    }
  }
}

/** The parts of the gateway that are asked. */
interface Parts {
  health: Health
  pools: Pools
  gateways: Gateways
  roles: Roles
  replicas: Replicas | undefined
  startedAt: number
}

/** What GET /health tells. */
export async function reportHealth(gateway: Parts): Promise<HealthReport> {
  const isConnected = await gateway.health.isConnected()
  const { pools, connections } = gateway.pools.status()
  return {
    status: isConnected ? 'healthy' : 'unhealthy',
    version: packageJson.version,
    postgres_connected: isConnected,
    active_pools: pools,
    total_connections: connections,
    uptime_seconds: Math.floor((performance.now() - gateway.startedAt) / 1000),
    gateways: gateway.gateways.alive().length,
    isolation: gateway.roles.isolation,
    replicas: gateway.replicas?.status(),
  }
}
