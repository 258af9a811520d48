import packageJson from '../../package.json' with { type: 'json' }
import type { GatewayStatus } from '../cluster/gateways.ts'
import type { ServiceOfWorker } from '../cluster/service.ts'
import type { ServerState } from '../postgres/hosts/outages.ts'
import type { ReplicaStatus } from '../postgres/hosts/replicas.ts'
import type { PoolsReport } from '../postgres/pools/pool-report.ts'
import type { ServerEntry } from '../servers/servers.ts'
import type { Counts } from '../usage/counters.ts'
import { SHOWN_BOUNDS_MS } from '../usage/times/shown-times.ts'
import { type CallsOfFunction, callMetrics } from './calls.ts'
import { FleetNumbers, type FleetSums } from './fleet.ts'
import { gatewayMetrics } from './gateways.ts'
import { mergeMetrics } from './merge.ts'
import { poolMetrics } from './pools.ts'
import { renderProcessMetrics, workerProcessMetrics } from './process.ts'
import { RequestCounters, type RouteCounter, requestMetrics } from './requests.ts'
import { namedServerMetrics, serverMetrics } from './servers.ts'
import { sumOfCalls, sumOfCounts, sumOfDeploys } from './sums.ts'
import { type Metric, renderMetrics } from './text.ts'
import { TopSeries } from './top-series.ts'
import { usageMetrics } from './usage.ts'
import { DeployCounter, type RunningDeploys, type Working, workMetrics } from './work.ts'

/** Parts for a server whose state is measured. */
interface MeasuredServer {
  pools: { report(): PoolsReport }
  usage: {
    byPlatform(): Map<string, Counts>
    times: { calls: { shown(): CallsOfFunction[] } }
  }
  deploys: RunningDeploys
  gateways: { alive(): GatewayStatus[] }
  replicas: { status(): ReplicaStatus[] } | undefined
  watch: { isUp: boolean }
}

/** Parts of the gateway whose state is measured. */
export interface Measured extends Working {
  routeCounters: RouteCounter[]
  outages: { status(): ServerState[] }
  service: ServiceOfWorker | undefined
  servers: { readonly areSeveral: boolean; entries(): ServerEntry<MeasuredServer>[] }
}

/** What /metrics counts since the start, apart from what other parts count for themselves. */
export class Metrics {
  readonly requests = new RequestCounters()
  readonly deploys = new DeployCounter()
  readonly fleet: FleetNumbers
  readonly #databases = new TopSeries()
  readonly #platforms = new TopSeries()

  /** @param readFleet reads the numbers of databases from the catalogs */
  constructor(readFleet: () => Promise<FleetSums[]>) {
    this.fleet = new FleetNumbers(readFleet)
  }

  /** Returns all metrics as text in Prometheus' format; of a service, those of all workers. */
  async render(gateway: Measured): Promise<string> {
    const { service } = gateway
    if (!service) {
      return `${await renderMetrics(this.#own(gateway))}\n${await renderProcessMetrics()}`
    }
    const own = await this.collect(gateway, service.worker)
    const others = (await service.ask('metrics', own)) as Metric[][]
    return renderMetrics(mergeMetrics([own, ...others]))
  }

  /** Returns the metrics of a worker. */
  async collect(gateway: Measured, worker: number): Promise<Metric[]> {
    const own = this.#own(gateway).map((metric) => ({ ...metric, samples: [...metric.samples] }))
    return [...own, ...(await workerProcessMetrics(worker))]
  }

  #own(gateway: Measured): Metric[] {
    const { routeCounters, outages, servers } = gateway
    const open = servers
      .entries()
      .flatMap(({ name, parts }) => (parts ? [{ server: name, parts }] : []))
    const named = open.map(({ server, parts }) => ({
      server: servers.areSeveral ? server : undefined,
      parts,
    }))
    const all = open.map(({ parts }) => parts)
    return [
      ...workMetrics(
        gateway,
        sumOfDeploys(all.map(({ deploys }) => deploys)),
        this.deploys,
        packageJson.version,
      ),
      ...requestMetrics(routeCounters, this.requests),
      ...callMetrics(
        sumOfCalls(all.map(({ usage }) => usage.times.calls.shown())),
        SHOWN_BOUNDS_MS,
      ),
      ...usageMetrics(sumOfCounts(all.map(({ usage }) => usage.byPlatform())), this.#platforms),
      ...poolMetrics(
        named.map(({ server, parts }) => ({ server, ...parts.pools.report() })),
        this.#databases,
      ),
      ...this.fleet.metrics(),
      ...this.#ofServers(servers.areSeveral ? servers.entries() : []),
      ...serverMetrics(
        outages.status(),
        all.flatMap(({ replicas }) => replicas?.status() ?? []),
      ),
      ...gatewayMetrics(
        named.map(({ server, parts }) => ({ server, alive: parts.gateways.alive() })),
      ),
    ]
  }

  #ofServers(entries: ServerEntry<MeasuredServer>[]): Metric[] {
    return namedServerMetrics(
      entries.map(({ name, parts }) => ({
        name,
        isUp: parts?.watch.isUp ?? false,
        databases: this.fleet.databasesOf(name),
      })),
    )
  }
}
