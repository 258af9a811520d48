import type { GatewayError } from '../../errors.ts'
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

/** Names of databases in one alert. */
const MOST_NAMED = 20

/**
 * Tells a deploy of a request that has ended. Dry runs, requests that changed nothing and those
 * whose work goes on as a job are not told.
 * @param failure what the request was answered, if it failed
 */
export function tellDeploy(
  alerts: Alerts,
  entry: EndedRequest,
  isUnchanged: boolean,
  failure: GatewayError | undefined,
): void {
  const { action, platform, tenant_id, schema_name, request_id, error, summary } = entry
  if (!ACTIONS.has(action) || summary?.dry_run === true || summary?.job_id !== undefined) return
  if (!error && isUnchanged) return
  const [first] = entry.databases
  const where = entry.databases.length === 1 ? first! : `${platform}`
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
    alerts.tell({ type: 'deploy.finished', key: `deploy.finished:${request_id}`, text, data })
    return
  }
  const { file, line, sqlstate } = failure?.details ?? {}
  const message = failure?.message ?? error
  alerts.raise({
    type: 'deploy.failed',
    key: `deploy.failed:${action}:${where}:${error}`,
    text: `${action} of ${where} failed: ${message}`,
    data: { ...data, error, message, file: file ?? null, line: line ?? null, sqlstate },
  })
}

/** Tells the end of a job of /v2/migrate-all. */
export function tellJob(
  alerts: Alerts,
  { id, platform, schemaName, status, summary }: EndedJob,
): void {
  const isDone = status === 'completed'
  const where = `${platform} to ${schemaName}`
  const data = { action: 'migrate', job_id: id, platform, schema_name: schemaName, status, summary }
  if (isDone) {
    const text = `migrate of ${where} has ended`
    alerts.tell({ type: 'deploy.finished', key: `deploy.finished:${id}`, text, data })
  } else {
    const text = `migrate of ${where} has ended as ${status}`
    alerts.raise({ type: 'deploy.failed', key: `deploy.failed:job:${where}:${status}`, text, data })
  }
}
