import packageJson from '../package.json' with { type: 'json' }
import type { Gateways } from './cluster/gateways.ts'
import type { ReplicaStatus, Replicas } from './postgres/hosts/replicas.ts'
import type { Pools } from './postgres/pools/pools.ts'
import type { ServerEntry } from './servers/servers.ts'
import type { Isolation, Roles } from './tenancy/roles/roles.ts'

/** Body of GET /health. */
export interface HealthReport {
  status: 'healthy' | 'unhealthy'
  version: string
  postgres_connected: boolean
  active_pools: number
  total_connections: number
  uptime_seconds: number
  /** Number of gateways alive on this PostgreSQL, including this one. */
  gateways: number
  /** Number of workers of this gateway that answer; undefined if WORKERS is 1. */
  workers?: number | undefined
  /** How platforms are kept apart. */
  isolation: Isolation
  /** The servers of SERVERS, `main` first; undefined if it is not set. */
  servers?: ServerHealth[]
  /** Status of the replicas; undefined if DATABASE_READ_URLS is not set. */
  replicas?: ReplicaStatus[] | undefined
}

/** What GET /health says of a PostgreSQL server. */
export interface ServerHealth {
  name: string
  connected: boolean
  /** Why it is not open; null if it is, or was. */
  why: string | null
  /** Databases that the catalog has there; null if that is not known. */
  databases: number | null
  connections: number
  gateways: number
  replicas: ReplicaStatus[]
  /** Since when it has answered, or when it answered last, ISO 8601. */
  since: string
}

/** Milliseconds for which any answer of PostgreSQL counts as proof that it works. */
const FRESH_ANSWER_MS = 5000

/** Milliseconds that a probe takes at most: /health must answer within 2 s. */
const PROBE_LIMIT_MS = 1500

export interface HealthOptions {
  /** Returns the milliseconds since PostgreSQL last answered. */
  sinceLastAnswer: () => number
  /** Sends a query to PostgreSQL, and resolves when it has answered. */
  probe: (withinMs: number) => Promise<unknown>
}

/**
 * Tells whether PostgreSQL works, by its last answer to any query: a busy gateway is healthy. A
 * probe is sent only if that answer is old; concurrent callers share it.
 */
export class Health {
  readonly #options: HealthOptions
  #probing: Promise<boolean> | undefined
  /** True while the gateway shuts down: new requests should go to another one. */
  isDraining = false
  /** True once work on many databases, such as a /migrate, begins with no further one. */
  isEnding = false
  /** True for a worker that drains while another one goes on in its place. */
  isReplaced = false

  constructor(options: HealthOptions) {
    this.#options = options
  }

  /**
   * Returns whether PostgreSQL works: at once if it answered in the last 5 s, otherwise within 1.5
   * s.
   */
  async isConnected(): Promise<boolean> {
    if (this.#options.sinceLastAnswer() < FRESH_ANSWER_MS) return true
    this.#probing ??= this.#probe(PROBE_LIMIT_MS, FRESH_ANSWER_MS).finally(() => {
      this.#probing = undefined
    })
    return this.#probing
  }

  /** Returns whether new requests should be sent to this gateway. */
  async isReady(): Promise<boolean> {
    return (!this.isDraining || this.isReplaced) && (await this.isConnected())
  }

  /** Returns whether PostgreSQL answers a query that is sent now, or any other since, within that time. */
  answers(withinMs: number): Promise<boolean> {
    return this.#probe(withinMs, withinMs)
  }

  /** @param freshMs age of an answer to any query that counts where the probe has none */
  async #probe(limitMs: number, freshMs: number): Promise<boolean> {
    const { sinceLastAnswer, probe } = this.#options
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<boolean>((resolve) => {
      // A call may have been answered in the meantime.
      const isFresh = () => resolve(sinceLastAnswer() < freshMs)
      timer = setTimeout(isFresh, limitMs)
    })
    const answer = probe(limitMs).then(
      () => true,
      () => sinceLastAnswer() < freshMs,
    )
    try {
      return await Promise.race([answer, timeout])
    } finally {
      clearTimeout(timer)
    }
  }
}

/** Parts of the gateway that the report reads. */
interface Parts {
  health: Health
  pools: Pools
  gateways: Gateways
  roles: Roles
  replicas: Replicas | undefined
  startedAt: number
  watch: { since: number }
  servers: {
    readonly areSeveral: boolean
    entries(): ServerEntry<Omit<Parts, 'servers' | 'startedAt' | 'metrics'>>[]
  }
  metrics: { fleet: { databasesOf(server: string): number | undefined } }
}

/** What all workers of a service have open. */
interface Load {
  pools: number
  held: number
  workers: number
  servers: Record<string, { connections: number; databases: number | undefined }>
}

/**
 * Returns whether new requests should be sent to this gateway: it is not draining, and one of its
 * servers works at least, since a server that is away costs its own tenants alone.
 */
export async function isReady({ health, servers }: Pick<Parts, 'health' | 'servers'>) {
  if (!servers.areSeveral || health.isDraining) return health.isReady()
  const open = servers.entries().flatMap(({ parts }) => parts ?? [])
  const connected = open.map(async (one) => {
    if (await one.health.isConnected()) return true
    throw new Error('It does not answer')
  })
  return Promise.any(connected).catch(() => false)
}

async function serverHealth(gateway: Parts, load: Load | undefined): Promise<ServerHealth[]> {
  const { servers, metrics } = gateway
  return Promise.all(
    servers.entries().map(async ({ name, parts, trouble, since }) => ({
      name,
      connected: (await parts?.health.isConnected()) ?? false,
      why: trouble ?? null,
      databases: load?.servers[name]?.databases ?? metrics.fleet.databasesOf(name) ?? null,
      connections: load?.servers[name]?.connections ?? parts?.pools.status().connections ?? 0,
      gateways: parts?.gateways.alive().length ?? 0,
      replicas: parts?.replicas?.status() ?? [],
      since: new Date(parts?.watch.since ?? since).toISOString(),
    })),
  )
}

/**
 * Returns the body of GET /health.
 * @param loading the load of all workers; undefined: there are none
 */
export async function reportHealth(gateway: Parts, loading?: Promise<Load>): Promise<HealthReport> {
  // At the same time: either may take long, and the answer comes within 2 s.
  const [isConnected, load] = await Promise.all([gateway.health.isConnected(), loading])
  const { pools, connections } = gateway.pools.status()
  return {
    status: isConnected ? 'healthy' : 'unhealthy',
    version: packageJson.version,
    postgres_connected: isConnected,
    active_pools: load?.pools ?? pools,
    total_connections: load?.held ?? connections,
    uptime_seconds: Math.floor((performance.now() - gateway.startedAt) / 1000),
    gateways: gateway.gateways.alive().length,
    workers: load?.workers,
    isolation: gateway.roles.isolation,
    replicas: gateway.replicas?.status(),
    ...(gateway.servers.areSeveral && { servers: await serverHealth(gateway, load) }),
  }
}
