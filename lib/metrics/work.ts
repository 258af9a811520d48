import { metric, single } from './definitions.ts'
import { Histogram } from './histogram.ts'
import type { Metric } from './text.ts'

/** Bounds of deploys' durations in milliseconds: 100 ms to an hour. */
const DEPLOY_BOUNDS_MS = [
  100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 3_600_000,
]

/** Counts deploys to one database that have ended. */
export class DeployCounter {
  completed = 0
  failed = 0
  readonly durations = new Histogram(DEPLOY_BOUNDS_MS)

  note({ result, executionTimeMs }: { result?: unknown; executionTimeMs: number }): void {
    if (result) this.completed++
    else this.failed++
    this.durations.note(executionTimeMs)
  }
}

/** Deploys on all servers. */
export interface RunningDeploys {
  running: number
  waiting: number
}

/** Parts of the gateway that do work, as far as their state is measured. */
export interface Working {
  jobs: { running: number }
  inFlight: { size: number }
  audit: { waiting: number; lost: number }
  buffered: { taken: number; capacity: number; waiting: number }
  alerts: {
    alerts: {
      counts: Record<'delivered' | 'failed' | 'dropped' | 'duplicate', number>
      waiting: number
    }
    unreachable: { count: number }
    certificate: { validUntil: Date | undefined }
  }
  health: { isDraining: boolean }
}

/** Returns metrics of deploys, jobs, the audit trail, buffers and alerts. */
export function workMetrics(
  gateway: Working,
  deploys: RunningDeploys,
  deployCounter: DeployCounter,
  version: string,
): Metric[] {
  const { jobs, audit, buffered, alerts, health } = gateway
  const { validUntil } = alerts.certificate
  return [
    metric('db_gateway_build_info', [{ labels: { version, node: process.version }, value: 1 }]),
    single('db_gateway_draining', Number(health.isDraining)),
    single('db_gateway_calls_in_flight', gateway.inFlight.size),
    single('db_gateway_buffered_bytes', buffered.taken),
    single('db_gateway_buffered_capacity_bytes', buffered.capacity),
    single('db_gateway_buffered_waiting', buffered.waiting),
    metric(
      'db_gateway_deploys_total',
      (['completed', 'failed'] as const).map((status) => ({
        labels: { status },
        value: deployCounter[status],
      })),
    ),
    metric('db_gateway_deploy_duration_seconds', deployCounter.durations.samples({})),
    single('db_gateway_deploys_running', deploys.running),
    single('db_gateway_deploys_waiting', deploys.waiting),
    single('db_gateway_jobs_running', jobs.running),
    single('db_gateway_unreachable_databases', alerts.unreachable.count),
    single('db_gateway_audit_queue', audit.waiting),
    single('db_gateway_audit_lost_total', audit.lost),
    metric(
      'db_gateway_alerts_total',
      Object.entries(alerts.alerts.counts).map(([outcome, value]) => ({
        labels: { outcome },
        value,
      })),
    ),
    single('db_gateway_alerts_queue', alerts.alerts.waiting),
    single(
      'db_gateway_certificate_expiry_timestamp_seconds',
      validUntil && Math.floor(validUntil.getTime() / 1000),
    ),
  ]
}
