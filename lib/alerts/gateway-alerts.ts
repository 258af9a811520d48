import type { GatewayError } from '../errors.ts'
import { isConnectionLost, isPostgresError } from '../postgres/errors.ts'
import type { OutageChange, Outages } from '../postgres/hosts/outages.ts'
import type { Pools } from '../postgres/pools/pools.ts'
import { useRepeatable } from '../postgres/pools/use-repeatable.ts'
import { INVALID_CATALOG_NAME } from '../postgres/sqlstates.ts'
import { MAIN_SERVER } from '../servers/parse-servers.ts'
import type { ServerEntry } from '../servers/servers.ts'
import { Alerts, type AlertsOptions } from './alerts.ts'
import { CertificateAlerts } from './sources/certificate.ts'
import { DeployAlerts, type EndedJob, type EndedRequest } from './sources/deploys.ts'
import { ExhaustedAlerts } from './sources/exhausted.ts'
import { MemberAlerts } from './sources/members.ts'
import { tellMoved, tellOutage } from './sources/outages.ts'
import { type LookedAt, UnreachableAlerts } from './sources/unreachable.ts'

/** The parts for a server that alerts are made from. */
interface AlertingServer {
  pools: Pools
  catalog: { use: AlertsOptions['use'] }
  watch: { isUp: boolean }
}

interface Options extends Omit<AlertsOptions, 'isDown'> {
  outages: Outages
  /** Returns the servers that the gateway knows. */
  servers: () => {
    entries(): ServerEntry<AlertingServer>[]
    placements: { of(database: string): string | undefined }
  }
}

/** The alerts of a gateway, and what they are made from. */
export class GatewayAlerts {
  readonly alerts: Alerts
  readonly certificate: CertificateAlerts
  readonly members: MemberAlerts
  readonly unreachable: UnreachableAlerts
  readonly exhausted: ExhaustedAlerts
  readonly #deploys: DeployAlerts

  constructor({ outages, servers, ...options }: Options) {
    const isDown = () =>
      outages.status().some(({ role, name, isUp }) => role === 'primary' && !name && !isUp)
    const pools = () =>
      servers()
        .entries()
        .flatMap(({ parts }) => parts?.pools ?? [])
    this.alerts = new Alerts({ ...options, isDown })
    this.#deploys = new DeployAlerts(this.alerts)
    this.certificate = new CertificateAlerts(this.alerts)
    this.members = new MemberAlerts(this.alerts)
    this.exhausted = new ExhaustedAlerts(
      this.alerts,
      () => pools().reduce((sum, one) => sum + one.exhausted, 0),
      () => ({ pools: pools().flatMap((one) => one.report().pools) }),
    )
    this.unreachable = new UnreachableAlerts(this.alerts, {
      servers: () =>
        servers()
          .entries()
          .flatMap(({ name, parts }) => (parts ? [lookedAt(name, parts)] : [])),
      serverOf: (database) => servers().placements.of(database) ?? MAIN_SERVER,
      isUnreachable,
      isDown,
    })
    outages.onChange = (change: OutageChange) => tellOutage(this.alerts, change)
  }

  /** Tells that another host has become the primary. */
  moved(from: string, to: string): void {
    tellMoved(this.alerts, from, to)
  }

  /** Tells a deploy of a request that has ended. */
  deploy(entry: EndedRequest, isUnchanged: boolean, failure: GatewayError | undefined): void {
    this.#deploys.request(entry, isUnchanged, failure)
  }

  /** Tells a job that has ended. */
  job(job: EndedJob): void {
    this.#deploys.job(job)
  }

  /** Creates the table of what was told, and starts to look. */
  async start(): Promise<void> {
    await this.alerts.prepare()
    this.exhausted.start()
    this.unreachable.start()
  }

  /** Delivers what waits within `limitMs`, and stops. */
  async stop(limitMs: number): Promise<void> {
    this.exhausted.stop()
    this.unreachable.stop()
    this.certificate.stop()
    await this.alerts.stop(limitMs)
  }
}

function lookedAt(name: string, { pools, catalog, watch }: AlertingServer): LookedAt {
  return {
    name,
    isUp: watch.isUp,
    use: (work) => catalog.use(work),
    connect: (database) => useRepeatable(pools, database, (sql) => sql`select 1`),
  }
}

/** Whether there is no connection to a database, for another reason than that all are in use. */
function isUnreachable(error: unknown): boolean {
  return isConnectionLost(error) || (isPostgresError(error) && error.code === INVALID_CATALOG_NAME)
}
