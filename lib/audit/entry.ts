import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { RequestContext } from '../http/request.ts'
import type { Owner } from '../tenancy/names.ts'

/** Kinds of entries: actions that change something, and refused requests. */
export const ACTIONS = [
  'register',
  'migrate',
  'revert',
  'stop_migrate',
  'create_tenant',
  'label_tenant',
  'limit_tenant',
  'suspend_tenant',
  'resume_tenant',
  'rename_tenant',
  'clone_tenant',
  'move_tenant',
  'drop_tenant',
  'export_tenant',
  'import_tenant',
  'adopt',
  'forget_database',
  'register_platform',
  'store_schema',
  'create_database',
  'platform_token',
  'cancel_call',
  'refused',
] as const

export type AuditAction = (typeof ACTIONS)[number]

/** A row of the audit trail; the fields are named as the columns. Times are ISO 8601. */
export interface AuditEntry {
  /** UUID that the gateway generates, so that writing an entry twice leaves one row. */
  key: string
  /** Arrival of the request, by the gateway's clock. */
  at: string
  action: AuditAction
  method: string
  /** Path of the URL, without the query string. */
  path: string
  platform: string | null
  tenant_id: string | null
  /** Absent in rows that are read if the request named no schema. */
  schema_name?: string | null
  /** Names of the databases that the request was about, MAX_DATABASES at most. */
  databases: string[]
  /** Address of the client, as the trusted proxies report it. */
  address: string | null
  /** Remote address of the socket. */
  peer: string | null
  /** Content of the X-Forwarded-For header, whether or not it is trusted; likewise `forwarded`. */
  forwarded_for: string | null
  forwarded: string | null
  request_id: string
  /** HTTP status; null while the request runs, or if the gateway ended before the request did. */
  status: number | null
  error: string | null
  duration_ms: number | null
  summary: Record<string, unknown> | null
  /** Number of refused requests that the row stands for; `last_at` is the time of the last one. */
  requests: number
  last_at: string | null
}

/** Maximum number of database names in one row. */
export const MAX_DATABASES = 500

const MAX_PATH_LENGTH = 200
const MAX_HEADER_LENGTH = 500

/** Returns an entry with the facts known when a request arrives: the client and the action. */
export function newEntry(
  action: AuditAction,
  request: RequestContext,
  req: IncomingMessage,
): AuditEntry {
  return {
    key: randomUUID(),
    at: new Date(Date.now() - (performance.now() - request.startedAt)).toISOString(),
    action,
    method: req.method ?? '',
    path: bounded((req.url ?? '').split('?', 1)[0]!, MAX_PATH_LENGTH),
    platform: request.platform ?? null,
    tenant_id: null,
    schema_name: null,
    databases: request.database === undefined ? [] : [request.database],
    address: request.address ?? null,
    peer: req.socket.remoteAddress ?? null,
    forwarded_for: headerText(req.headers['x-forwarded-for']),
    forwarded: headerText(req.headers.forwarded),
    request_id: request.id,
    status: null,
    error: null,
    duration_ms: null,
    summary: null,
    requests: 1,
    last_at: null,
  }
}

/** Returns the entry of work that a gateway did later than the request that asked for it. */
export function newOwnEntry(
  action: AuditAction,
  { platform, tenantId, schema }: Owner,
  database: string,
  durationMs: number,
): AuditEntry {
  return {
    key: randomUUID(),
    at: new Date(Date.now() - durationMs).toISOString(),
    action,
    method: '',
    path: '',
    platform,
    tenant_id: tenantId,
    schema_name: schema,
    databases: [database],
    address: null,
    peer: null,
    forwarded_for: null,
    forwarded: null,
    request_id: randomUUID(),
    status: null,
    error: null,
    duration_ms: durationMs,
    summary: null,
    requests: 1,
    last_at: null,
  }
}

/** Records in the entry how the request ended. */
export function endEntry(
  entry: AuditEntry,
  request: RequestContext,
  status: number,
  error: string | null,
): void {
  entry.status = status
  entry.error = error
  entry.duration_ms = Math.round(performance.now() - request.startedAt)
}

function headerText(value: string | string[] | undefined): string | null {
  if (value === undefined) return null
  return bounded(Array.isArray(value) ? value.join(', ') : value, MAX_HEADER_LENGTH)
}

function bounded(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text
}
