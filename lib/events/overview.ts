import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import type { GatewayStatus } from '../cluster/gateways.ts'
import type { ReplicaStatus } from '../postgres/hosts/replicas.ts'
import type { PoolsReport } from '../postgres/pools/pool-report.ts'

/** What the overview is made of. */
export interface OverviewParts {
  /** Calls and errors since the start. */
  counts: () => { calls: number; errors: number }
  pools: () => Pick<PoolsReport, 'pools' | 'permits'>
  /** Deploys that run or wait. */
  deploys: () => number
  gateways: () => GatewayStatus[]
  replicas: () => ReplicaStatus[]
  isConnected: () => Promise<boolean>
}

/** This gateway at a glance. */
export interface Overview {
  /** ISO 8601. */
  at: string
  /** Id of this gateway, which the numbers of calls and connections are of. */
  gateway: string | null
  calls_per_s: number
  errors_per_s: number
  connections: { open: number; busy: number; idle: number; waiting: number; capacity: number }
  deploys_running: number
  gateways: GatewayStatus[]
  replicas: { host: string; port: number; lag_s: number | null; state: 'usable' | 'unusable' }[]
  /** `since`: when it was first seen so, ISO 8601. */
  postgres: { reachable: boolean; since: string }
  /** Longest delay of the event loop since the last overview, in milliseconds. */
  event_loop_ms: number
}

/** Resolution of the measurement of the event loop, which the delays include. */
const RESOLUTION_MS = 20

/** Reads overviews, each of the time since the one before. */
export class OverviewReader {
  readonly #parts: OverviewParts
  #before: { at: number; calls: number; errors: number } | undefined
  #postgres: Overview['postgres'] | undefined
  #loop: IntervalHistogram | undefined
  /** Number of times that `end` was called. */
  #ends = 0

  constructor(parts: OverviewParts) {
    this.#parts = parts
  }

  /** Returns an overview. The first has no rates. */
  async read(): Promise<Overview> {
    const { counts, pools, deploys, gateways, replicas, isConnected } = this.#parts
    const ends = this.#ends
    const reachable = await isConnected()
    const isEnded = ends !== this.#ends
    const now = performance.now()
    const { calls, errors } = counts()
    const seconds = this.#before ? (now - this.#before.at) / 1000 : 0
    const rate = (count: number, before = count) =>
      seconds > 0 ? Math.round((10 * (count - before)) / seconds) / 10 : 0
    const overview: Overview = {
      at: new Date().toISOString(),
      gateway: gateways().find(({ self }) => self)?.id ?? null,
      calls_per_s: rate(calls, this.#before?.calls),
      errors_per_s: rate(errors, this.#before?.errors),
      connections: connectionsOf(pools()),
      deploys_running: deploys(),
      gateways: gateways(),
      replicas: replicas().map(shownReplica),
      postgres: this.#postgresIs(reachable),
      event_loop_ms: isEnded ? 0 : this.#longestDelay(),
    }
    if (!isEnded) this.#before = { at: now, calls, errors }
    return overview
  }

  /** Forgets the last overview, and stops measuring. */
  end(): void {
    this.#ends++
    this.#before = undefined
    this.#loop?.disable()
    this.#loop = undefined
  }

  #postgresIs(reachable: boolean): Overview['postgres'] {
    if (this.#postgres?.reachable !== reachable) {
      this.#postgres = { reachable, since: new Date().toISOString() }
    }
    return this.#postgres
  }

  #longestDelay(): number {
    if (!this.#loop) {
      this.#loop = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
      this.#loop.enable()
      return 0
    }
    const { max } = this.#loop
    this.#loop.reset()
    return Math.max(0, Math.round(max / 1e6) - RESOLUTION_MS)
  }
}

function connectionsOf({
  pools,
  permits,
}: Pick<PoolsReport, 'pools' | 'permits'>): Overview['connections'] {
  const sums = { open: 0, busy: 0, idle: 0, waiting: 0, capacity: permits.capacity }
  for (const { open, busy, idle, waiting } of pools) {
    sums.open += open
    sums.busy += busy
    sums.idle += idle
    sums.waiting += waiting
  }
  return sums
}

function shownReplica({ server, usable, lag_ms }: ReplicaStatus): Overview['replicas'][number] {
  const colon = server.lastIndexOf(':')
  return {
    host: server.slice(0, colon),
    port: Number(server.slice(colon + 1)),
    lag_s: lag_ms === null ? null : lag_ms / 1000,
    state: usable ? 'usable' : 'unusable',
  }
}
