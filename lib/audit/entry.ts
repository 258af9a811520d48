import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { RequestContext } from '../http/request.ts'

/** What is written down: requests that change something, and those that were not let through. */
export type AuditAction =
  | 'register'
  | 'migrate'
  | 'revert'
  | 'create_tenant'
  | 'adopt'
  | 'forget_database'
  | 'register_platform'
  | 'store_schema'
  | 'create_database'
  | 'platform_token'
  | 'refused'

/** One row of the audit trail, by the names of its columns. Times are ISO 8601. */
export interface AuditEntry {
  /** Told by the gateway, so that the row can be written twice. */
  key: string
  /** When the request came, by the gateway's clock. */
  at: string
  action: AuditAction
  method: string
  /** Without what is behind a `?`. */
  path: string
  platform: string | null
  tenant_id: string | null
  /** Absent, when it is read: none. */
  schema_name?: string | null
  /** The first MAX_DATABASES that it was about. */
  databases: string[]
  /** Of the client, behind the trusted proxies. */
  address: string | null
  /** Of the socket. */
  peer: string | null
  /** What the headers say, whether or not it is believed. */
  forwarded_for: string | null
  forwarded: string | null
  request_id: string
  /** Null while it runs, or where the gateway ended in the middle of it. */
  status: number | null
  error: string | null
  duration_ms: number | null
  summary: Record<string, unknown> | null
  /** How many refused requests it stands for, and when the last of them came. */
  requests: number
  last_at: string | null
}

/** Names of databases that one row has at most. */
export const MAX_DATABASES = 500

const MAX_PATH_LENGTH = 200
const MAX_HEADER_LENGTH = 500

/** What is known of a request that has come: who asks, and for what. */
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

/** Writes down how the request ended. */
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
