import type { GatewayError } from '../errors.ts'
import { isConnectionLost, isPostgresError } from '../postgres/errors.ts'
import type { OutageChange, Outages } from '../postgres/hosts/outages.ts'
import type { PoolsReport } from '../postgres/pools/pool-report.ts'
import { INVALID_CATALOG_NAME } from '../postgres/sqlstates.ts'
import { Alerts, type AlertsOptions } from './alerts.ts'
import { CertificateAlerts } from './sources/certificate.ts'
import { DeployAlerts, type EndedJob, type EndedRequest } from './sources/deploys.ts'
import { ExhaustedAlerts } from './sources/exhausted.ts'
import { MemberAlerts } from './sources/members.ts'
import { tellMoved, tellOutage } from './sources/outages.ts'
import { UnreachableAlerts } from './sources/unreachable.ts'

interface Options extends Omit<AlertsOptions, 'isDown'> {
  outages: Outages
  /** Connects to a database of the catalog. */
  connect: (database: string) => Promise<unknown>
  /** Number of requests that got no connection since the start, and the report that says where. */
  exhausted: () => number
  report: () => Pick<PoolsReport, 'pools'>
}

/** The alerts of a gateway, and what they are made from. */
export class GatewayAlerts {
  readonly alerts: Alerts
  readonly certificate: CertificateAlerts
  readonly members: MemberAlerts
  readonly unreachable: UnreachableAlerts
  readonly exhausted: ExhaustedAlerts
  readonly #deploys: DeployAlerts

  constructor({ outages, connect, exhausted, report, ...options }: Options) {
    const isDown = () => outages.status().some(({ role, isUp }) => role === 'primary' && !isUp)
    this.alerts = new Alerts({ ...options, isDown })
    this.#deploys = new DeployAlerts(this.alerts)
    this.certificate = new CertificateAlerts(this.alerts)
    this.members = new MemberAlerts(this.alerts)
    this.exhausted = new ExhaustedAlerts(this.alerts, exhausted, report)
    this.unreachable = new UnreachableAlerts(this.alerts, {
      use: options.use,
      connect,
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

/** Whether there is no connection to a database, for another reason than that all are in use. */
function isUnreachable(error: unknown): boolean {
  return isConnectionLost(error) || (isPostgresError(error) && error.code === INVALID_CATALOG_NAME)
}
