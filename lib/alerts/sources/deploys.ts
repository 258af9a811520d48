import type { GatewayError } from '../../errors.ts'
import { MOST_NAMED } from '../alert.ts'
import type { Alerts } from '../alerts.ts'

/** A request that may have deployed, as its audit entry tells. */
export interface EndedRequest {
  action: string
  platform: string | null
  tenant_id: string | null
  schema_name?: string | null
  databases: string[]
  request_id: string
  status: number | null
  error: string | null
  duration_ms: number | null
  summary: Record<string, unknown> | null
}

/** A job that has ended. */
export interface EndedJob {
  id: string
  platform: string
  schemaName: string
  status: string
  summary: Record<string, unknown>
}

const ACTIONS = new Set(['register', 'migrate', 'revert', 'create_database'])

/** Time in which the same failure is not told again, for clients that send a deploy until it succeeds. */
const SAME_QUIET_MS = 60_000

/** Places whose last failure is remembered; the oldest is forgotten beyond that. */
const MOST_PLACES = 1000

/**
 * Tells deploys. Each request is told by the gateway that has it, since no other can know; a failure is
 * left out where the one before it at the same place was the same, within a minute.
 */
export class DeployAlerts {
  readonly #alerts: Alerts
  /** What failed last, and the `performance.now()` at which it was told, by action and place. */
  readonly #failed = new Map<string, { what: string; at: number }>()

  constructor(alerts: Alerts) {
    this.#alerts = alerts
  }

  /**
   * Tells a deploy of a request that has ended. Dry runs, requests that changed nothing and those
   * whose work goes on as a job are not told.
   * @param failure what the request was answered, if it failed
   */
  request(entry: EndedRequest, isUnchanged: boolean, failure: GatewayError | undefined): void {
    const { action, platform, tenant_id, schema_name, request_id, error, summary } = entry
    if (!ACTIONS.has(action) || summary?.dry_run === true || summary?.job_id !== undefined) return
    const [first] = entry.databases
    const where = entry.databases.length === 1 ? first! : `${platform}`
    const place = `${action}:${where}`
    if (!error) this.#failed.delete(place)
    if (!error && isUnchanged) return
    const data = {
      action,
      platform,
      tenant_id,
      schema_name: schema_name ?? null,
      databases: entry.databases.slice(0, MOST_NAMED),
      count: entry.databases.length,
      request_id,
      duration_ms: entry.duration_ms,
      summary,
    }
    if (!error) {
      const text = `${action} of ${where} has ended (${entry.duration_ms} ms)`
      this.#alerts.tell({
        type: 'deploy.finished',
        key: `deploy.finished:${request_id}`,
        text,
        data,
      })
      return
    }
    const { file, line, sqlstate } = failure?.details ?? {}
    const message = failure?.message ?? error
    if (!this.#isNew(place, JSON.stringify([error, message, file, line, summary?.checksum]))) return
    this.#alerts.tell({
      type: 'deploy.failed',
      key: `deploy.failed:${place}:${error}`,
      text: `${action} of ${where} failed: ${message}`,
      data: { ...data, error, message, file: file ?? null, line: line ?? null, sqlstate },
    })
  }

  /** Tells the end of a job of /v2/migrate-all. */
  job({ id, platform, schemaName, status, summary }: EndedJob): void {
    const isDone = status === 'completed'
    const where = `${platform} to ${schemaName}`
    const type = isDone ? 'deploy.finished' : 'deploy.failed'
    this.#alerts.tell({
      type,
      key: `${type}:${isDone ? id : `job:${where}:${status}`}`,
      text: `migrate of ${where} has ended${isDone ? '' : ` as ${status}`}`,
      data: { action: 'migrate', job_id: id, platform, schema_name: schemaName, status, summary },
    })
  }

  /** Returns whether a failure is to be told, and remembers it as told. */
  #isNew(place: string, what: string): boolean {
    const now = performance.now()
    const last = this.#failed.get(place)
    if (last?.what === what && now - last.at < SAME_QUIET_MS) return false
    this.#failed.delete(place)
    this.#failed.set(place, { what, at: now })
    const [oldest] = this.#failed.keys()
    if (this.#failed.size > MOST_PLACES) this.#failed.delete(oldest!)
    return true
  }
}
