import { addMissingColumn, createTables } from '../postgres/create-tables.ts'
import { distinctPlatforms } from '../postgres/distinct-platforms.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import type { AuditAction, AuditEntry } from './entry.ts'

/** An entry as it is read. */
export type AuditRow = Omit<AuditEntry, 'key'> & { id: number }

/** How a request ended: `running` has not, or its gateway was killed. */
export const OUTCOMES = ['done', 'failed', 'running'] as const

type Outcome = (typeof OUTCOMES)[number]

const STATUS: Record<Outcome, string> = {
  done: 'and status < 400',
  failed: 'and status >= 400',
  running: 'and status is null',
}

export interface AuditQuery {
  /** Platform of the entries; undefined selects all entries, with or without a platform. */
  platform: string | undefined
  /**
   * Tells which platforms the client may see; entries of others are left out. Undefined hides none.
   */
  mayName?: ((platform: string) => boolean) | undefined
  /** Tenant id that the request named. */
  tenantId?: string | undefined
  action?: AuditAction | undefined
  outcome?: Outcome | undefined
  requestId?: string | undefined
  /** Selects entries with a smaller id; undefined starts at the newest. */
  before: number | undefined
  limit: number
}

/** Table and time column, for `deleteOld`. */
export const AGE = { table: '_db_gateway_audit', column: 'at' }

/** Creates the table of the audit trail if it does not exist. */
export async function prepareTable(sql: Sql): Promise<void> {
  await createTables(
    sql,
    `
    create table if not exists _db_gateway_audit (
      id bigint generated always as identity primary key,
      key uuid not null unique,
      at timestamptz not null,
      action text not null,
      method text not null,
      path text not null,
      platform text,
      tenant_id text,
      databases text[] not null,
      address text,
      peer text,
      forwarded_for text,
      forwarded text,
      request_id text not null,
      status integer,
      error text,
      duration_ms integer,
      summary jsonb,
      requests bigint not null,
      last_at timestamptz
    );
    ${addMissingColumn('_db_gateway_audit', 'schema_name', 'text')};
    create index if not exists _db_gateway_audit_platform on _db_gateway_audit (platform, id);
    create index if not exists _db_gateway_audit_at on _db_gateway_audit (at)
  `,
  )
}

/** Writes entries. An entry that already has a row updates its outcome. */
export async function writeEntries(sql: Sql, entries: AuditEntry[]): Promise<void> {
  await sql`
    insert into _db_gateway_audit (
      key, at, action, method, path, platform, tenant_id, schema_name, databases, address, peer,
      forwarded_for, forwarded, request_id, status, error, duration_ms, summary, requests, last_at
    )
    select
      key, at, action, method, path, platform, tenant_id, schema_name, databases, address, peer,
      forwarded_for, forwarded, request_id, status, error, duration_ms, summary, requests, last_at
    from jsonb_to_recordset(${JSON.stringify(entries)}::text::jsonb) as entry (
      key uuid, at timestamptz, action text, method text, path text, platform text, tenant_id text,
      schema_name text, databases text[], address text, peer text, forwarded_for text, forwarded text,
      request_id text, status integer, error text, duration_ms integer, summary jsonb,
      requests bigint, last_at timestamptz
    )
    on conflict (key) do update set
      databases = excluded.databases,
      status = excluded.status,
      error = excluded.error,
      duration_ms = excluded.duration_ms,
      summary = excluded.summary,
      requests = excluded.requests,
      last_at = excluded.last_at
  `
}

/** Returns entries, newest first. */
export async function readEntries(
  sql: Sql,
  { platform, tenantId, action, outcome, requestId, mayName, before, limit }: AuditQuery,
): Promise<AuditRow[]> {
  const hidden =
    mayName && (await distinctPlatforms(sql, AGE.table)).filter((name) => !mayName(name))
  const rows = await sql<{ entry: AuditRow }[]>`
    select to_json(e) as entry
    from (
      select
        id, at, action, method, path, platform, tenant_id, schema_name, databases, address, peer,
        forwarded_for, forwarded, request_id, status, error, duration_ms, summary, requests,
        last_at
      from _db_gateway_audit
      where true
        ${platform === undefined ? sql`` : sql`and platform = ${platform}`}
        ${hidden === undefined ? sql`` : sql`and not coalesce(${JSON.stringify(hidden)}::text::jsonb ? platform, false)`}
        ${tenantId === undefined ? sql`` : sql`and tenant_id = ${tenantId}`}
        ${action === undefined ? sql`` : sql`and action = ${action}`}
        ${requestId === undefined ? sql`` : sql`and request_id = ${requestId}`}
        ${outcome === undefined ? sql`` : sql.unsafe(STATUS[outcome])}
        ${before === undefined ? sql`` : sql`and id < ${before}`}
      order by id desc
      limit ${limit}
    ) as e
  `
  return rows.map(({ entry: { schema_name, ...entry } }) =>
    schema_name ? { ...entry, schema_name } : entry,
  )
}
