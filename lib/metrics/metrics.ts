import packageJson from '../../package.json' with { type: 'json' }
import type { GatewayStatus } from '../cluster/gateways.ts'
import type { ServerState } from '../postgres/hosts/outages.ts'
import type { ReplicaStatus } from '../postgres/hosts/replicas.ts'
import type { PoolsReport } from '../postgres/pools/pool-report.ts'
import type { Counts } from '../usage/counters.ts'
import { SHOWN_BOUNDS_MS } from '../usage/times/shown-times.ts'
import { type CallsOfFunction, callMetrics } from './calls.ts'
import { FleetNumbers, type FleetSum } from './fleet.ts'
import { gatewayMetrics } from './gateways.ts'
import { poolMetrics } from './pools.ts'
import { renderProcessMetrics } from './process.ts'
import { RequestCounters, type RouteCounter, requestMetrics } from './requests.ts'
import { serverMetrics } from './servers.ts'
import { renderMetrics } from './text.ts'
import { TopSeries } from './top-series.ts'
import { usageMetrics } from './usage.ts'
import { DeployCounter, type Working, workMetrics } from './work.ts'

/** Parts of the gateway whose state is measured. */
export interface Measured extends Working {
  routeCounters: RouteCounter[]
  pools: { report(): PoolsReport }
  usage: {
    byPlatform(): Map<string, Counts>
    times: { calls: { shown(): CallsOfFunction[] } }
  }
  gateways: { alive(): GatewayStatus[] }
  outages: { status(): ServerState[] }
  replicas: { status(): ReplicaStatus[] } | undefined
}

/** What /metrics counts since the start, apart from what other parts count for themselves. */
export class Metrics {
  readonly requests = new RequestCounters()
  readonly deploys = new DeployCounter()
  readonly fleet: FleetNumbers
  readonly #databases = new TopSeries()
  readonly #platforms = new TopSeries()

  /** @param readFleet reads the numbers of databases from the catalog */
  constructor(readFleet: () => Promise<FleetSum[]>) {
    this.fleet = new FleetNumbers(readFleet)
  }

  /** Returns all metrics as text in Prometheus' format. */
  async render(gateway: Measured): Promise<string> {
    const { routeCounters, pools, usage, gateways, outages, replicas } = gateway
    const own = [
      ...workMetrics(gateway, this.deploys, packageJson.version),
      ...requestMetrics(routeCounters, this.requests),
      ...callMetrics(usage.times.calls.shown(), SHOWN_BOUNDS_MS),
      ...usageMetrics(usage.byPlatform(), this.#platforms),
      ...poolMetrics(pools.report(), this.#databases),
      ...this.fleet.metrics(),
      ...serverMetrics(outages.status(), replicas?.status() ?? []),
      ...gatewayMetrics(gateways.alive()),
    ]
    return `${await renderMetrics(own)}\n${await renderProcessMetrics()}`
  }
}
