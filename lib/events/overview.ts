import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import type { GatewayStatus } from '../cluster/gateways.ts'
import type { ReplicaStatus } from '../postgres/hosts/replicas.ts'

/** What the overview is made of. */
export interface OverviewParts {
  /** Load of this gateway, with all of its workers; its numbers of calls are since the start. */
  load: () => Promise<
    Pick<Overview, 'connections'> & Record<'calls' | 'errors' | 'deploys', number>
  >
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
    const { load, gateways, replicas, isConnected } = this.#parts
    const ends = this.#ends
    const [reachable, { calls, errors, deploys, connections }] = await Promise.all([
      isConnected(),
      load(),
    ])
    const isEnded = ends !== this.#ends
    const now = performance.now()
    const seconds = this.#before ? (now - this.#before.at) / 1000 : 0
    const rate = (count: number, before = count) =>
      // A worker that has ended takes its counts with it.
      seconds > 0 ? Math.max(0, Math.round((10 * (count - before)) / seconds) / 10) : 0
    const overview: Overview = {
      at: new Date().toISOString(),
      gateway: gateways().find(({ self }) => self)?.id ?? null,
      calls_per_s: rate(calls, this.#before?.calls),
      errors_per_s: rate(errors, this.#before?.errors),
      connections,
      deploys_running: deploys,
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

function shownReplica({ server, usable, lag_ms }: ReplicaStatus): Overview['replicas'][number] {
  const colon = server.lastIndexOf(':')
  return {
    host: server.slice(0, colon),
    port: Number(server.slice(colon + 1)),
    lag_s: lag_ms === null ? null : lag_ms / 1000,
    state: usable ? 'usable' : 'unusable',
  }
}
