import { addMissingColumn, createTables } from '../../postgres/create-tables.ts'
import type { Sql } from '../../postgres/pools/connection.ts'

/** A deploy to one database, as stored and as answered. */
export interface DeploymentRow {
  database: string
  tenant_id: string | null
  /** Absent if the database has no schema. */
  schema_name?: string | null
  id: number
  /** ISO 8601. */
  deployed_at: string
  status: 'completed' | 'failed'
  archive_checksum: string
  request_id: string
  [field: string]: unknown
}

/** A row to insert; `deployment` has the fields without a column of their own. */
export interface NewRow {
  database: string
  platform: string
  tenant_id: string | null
  schema_name: string | null
  /** ISO 8601; null for the current time. */
  deployed_at: string | null
  status: string
  archive_checksum: string
  request_id: string
  deployment: object
}

export interface DeploymentQuery {
  platform: string
  /** Null for the main database, or a schema's base database; undefined for all databases. */
  tenantId: string | null | undefined
  /** Null for databases without a schema; undefined for all databases. */
  schema: string | null | undefined
  /** Last id of the previous page; undefined for the first page. */
  after?: number | undefined
  /** Limits the page to rows before this time, and those of this time with a smaller id. */
  before?: { at: string; id: number } | undefined
  limit: number
}

/** Table and timestamp column, for `deleteOld`. */
export const AGE = { table: '_db_gateway_deployments', column: 'deployed_at' }

/** Creates the table of deployments in the administrative database if it does not exist. */
export async function prepareTable(sql: Sql): Promise<void> {
  await createTables(
    sql,
    `
    create table if not exists _db_gateway_deployments (
      id bigint generated always as identity primary key,
      database text not null,
      platform text not null,
      tenant_id text,
      deployed_at timestamptz not null,
      status text not null,
      archive_checksum text not null,
      request_id text not null,
      deployment jsonb not null
    );
    ${addMissingColumn('_db_gateway_deployments', 'schema_name', 'text')};
    create index if not exists _db_gateway_deployments_platform
      on _db_gateway_deployments (platform, deployed_at, id);
    create index if not exists _db_gateway_deployments_database
      on _db_gateway_deployments (database, deployed_at, id);
    create index if not exists _db_gateway_deployments_at on _db_gateway_deployments (deployed_at)
  `,
  )
}

/**
 * Inserts the rows of deploys.
 * @returns for each, whether its database had no row
 */
export async function addRows(sql: Sql, rows: NewRow[]): Promise<boolean[]> {
  const added = await sql<{ database: string; is_first: boolean }[]>`
    ${insertion(sql, rows)}
    returning database, not exists (
      select from _db_gateway_deployments d where d.database = _db_gateway_deployments.database
    ) as is_first
  `
  const first = new Set(added.filter((row) => row.is_first).map(({ database }) => database))
  return rows.map(({ database }) => first.has(database))
}

/** Inserts those rows of one database that are not recorded yet. */
export async function addMissingRows(sql: Sql, rows: NewRow[]): Promise<void> {
  await sql`
    ${insertion(sql, rows)}
    where not exists (
      select from _db_gateway_deployments d
      where d.database = r.database and d.request_id = r.request_id
        and d.archive_checksum = r.archive_checksum and d.status = r.status
    )
  `
}

function insertion(sql: Sql, rows: NewRow[]) {
  return sql`
    insert into _db_gateway_deployments (
      database, platform, tenant_id, schema_name, deployed_at, status, archive_checksum, request_id,
      deployment
    )
    select
      database, platform, tenant_id, schema_name, coalesce(deployed_at, now()), status,
      archive_checksum, request_id, deployment
    from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as r (
      database text, platform text, tenant_id text, schema_name text, deployed_at timestamptz,
      status text, archive_checksum text, request_id text, deployment jsonb
    )
  `
}

/** Returns a page of deployments, newest first. */
export async function readRows(sql: Sql, query: DeploymentQuery): Promise<DeploymentRow[]> {
  const { platform, tenantId, schema, after, before, limit } = query
  const rows = await sql<(DeploymentRow & { deployment: object })[]>`
    select
      database, tenant_id, schema_name, id::float8 as id, to_json(deployed_at) as deployed_at, status,
      archive_checksum, request_id, deployment
    from _db_gateway_deployments d
    where platform = ${platform}
      ${tenantId === undefined ? sql`` : sql`and tenant_id is not distinct from ${tenantId}`}
      ${schema === undefined ? sql`` : sql`and schema_name is not distinct from ${schema}`}
      ${
        after === undefined
          ? sql``
          : sql`and (d.deployed_at, d.id) < (
              select deployed_at, id from _db_gateway_deployments
              where id = ${after} and platform = ${platform}
            )`
      }
      ${
        before === undefined
          ? sql``
          : sql`and (d.deployed_at, d.id) < (${before.at}::text::timestamptz, ${before.id}::bigint)`
      }
    order by d.deployed_at desc, d.id desc
    limit ${limit}
  `
  return rows.map(({ deployment, schema_name, database, tenant_id, ...row }) => ({
    database,
    tenant_id,
    ...(schema_name && { schema_name }),
    ...row,
    ...deployment,
  }))
}
