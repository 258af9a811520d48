import type { SchemaFile } from '../archive/archive.ts'
import type { Sql } from '../postgres/connection.ts'
import { answers, type Sent, send } from '../postgres/pipeline.ts'

/**
 * The gateway's tables in each platform database. `_db_gateway_migrations` is named and laid out
 * as the original gateway did, with further columns, so that databases it managed carry over.
 */
const TABLES = `
  create table if not exists _db_gateway_migrations (
    id serial primary key,
    migration_file text not null unique,
    checksum text not null,
    applied_at timestamptz default now()
  );
  alter table _db_gateway_migrations
    -- applied; begun: it runs outside a transaction, and has not come to its end
    add column if not exists status text not null default 'applied',
    add column if not exists error text;

  create table if not exists _db_gateway_types (
    file text primary key,
    checksum text not null,
    deployed_at timestamptz not null default now()
  );
  create table if not exists _db_gateway_functions (
    file text primary key,
    checksum text not null,
    -- schema.name(types) of each function that the file made
    functions text[] not null default '{}',
    deployed_at timestamptz not null default now()
  );
  create table if not exists _db_gateway_views (
    file text primary key,
    checksum text not null,
    -- the views that the file made, as SQL names them
    views text[] not null default '{}',
    deployed_at timestamptz not null default now()
  );
  create table if not exists _db_gateway_seeders (
    file text primary key,
    checksum text not null,
    applied_at timestamptz not null default now()
  );
  create table if not exists _db_gateway_deployments (
    id bigserial primary key,
    deployed_at timestamptz not null default now(),
    status text not null,
    archive_checksum text not null,
    tables_checksum text,
    request_id text not null,
    address text not null,
    migrations_applied text[] not null default '{}',
    migrations_repaired text[] not null default '{}',
    functions_deployed integer not null default 0,
    functions_changed integer not null default 0,
    functions_dropped text[] not null default '{}',
    seeders_applied text[] not null default '{}',
    table_changes jsonb not null default '[]',
    error jsonb,
    execution_time_ms integer not null
  );
`

/** What a database says of itself: which files it has had, by file name. */
export interface Ledger {
  /** Of the deploy that was the last to succeed; null before the first. */
  archiveChecksum: string | null
  tablesChecksum: string | null
  migrations: Map<string, { checksum: string; status: 'applied' | 'begun'; error: string | null }>
  types: Map<string, string>
  functions: Map<string, { checksum: string; functions: string[] }>
  views: Map<string, { checksum: string; views: string[] }>
  seeders: Map<string, string>
}

/** What a deploy did, as the ledger keeps it. */
export interface DeploymentRecord {
  status: 'completed' | 'failed'
  archiveChecksum: string
  tablesChecksum: string | null
  requestId: string
  address: string
  migrationsApplied: string[]
  migrationsRepaired: string[]
  functionsDeployed: number
  functionsChanged: number
  functionsDropped: string[]
  seedersApplied: string[]
  tableChanges: object[]
  error: object | null
  executionTimeMs: number
}

/** Creates the ledger's tables, or the columns of theirs that are missing. */
export async function prepareLedger(sql: Sql): Promise<void> {
  const [row] = await sql<{ ready: boolean }[]>`
    select to_regclass('_db_gateway_deployments') is not null
      and to_regclass('_db_gateway_views') is not null as ready
  `
  // Not on every deploy: adding a column locks, even one that is there.
  if (!row!.ready) await sql.unsafe(TABLES)
}

interface LedgerRow {
  archive_checksum: string | null
  tables_checksum: string | null
  migrations: [string, { checksum: string; status: 'applied' | 'begun'; error: string | null }][]
  types: [string, string][]
  functions: [string, { checksum: string; functions: string[] }][]
  views: [string, { checksum: string; views: string[] }][]
  seeders: [string, string][]
}

/** Reads the ledger; its tables exist. */
export async function readLedger(sql: Sql): Promise<Ledger> {
  const [row] = await sql<[LedgerRow]>`
    select
      last.archive_checksum,
      last.tables_checksum,
      (select coalesce(json_agg(json_build_array(
          migration_file,
          json_build_object('checksum', checksum, 'status', status, 'error', error)
        )), '[]') from _db_gateway_migrations) as migrations,
      (select coalesce(json_agg(json_build_array(file, checksum)), '[]')
        from _db_gateway_types) as types,
      (select coalesce(json_agg(json_build_array(
          file, json_build_object('checksum', checksum, 'functions', functions)
        )), '[]') from _db_gateway_functions) as functions,
      (select coalesce(json_agg(json_build_array(
          file, json_build_object('checksum', checksum, 'views', views)
        )), '[]') from _db_gateway_views) as views,
      (select coalesce(json_agg(json_build_array(file, checksum)), '[]')
        from _db_gateway_seeders) as seeders
    from (values (1)) as always
    left join (
      select archive_checksum, tables_checksum
      from _db_gateway_deployments
      where status = 'completed'
      order by id desc
      limit 1
    ) as last on true
  `
  return {
    archiveChecksum: row.archive_checksum,
    tablesChecksum: row.tables_checksum,
    migrations: new Map(row.migrations),
    types: new Map(row.types),
    functions: new Map(row.functions),
    views: new Map(row.views),
    seeders: new Map(row.seeders),
  }
}

/**
 * How many functions are in place, where the archive with this checksum was the last one deployed;
 * undefined where it was not. One round trip, since it has no parameters to describe; no lock.
 */
export async function findInPlace(sql: Sql, archiveChecksum: string): Promise<number | undefined> {
  const [last] = await sql.unsafe<{ archive_checksum: string; functions_deployed: number }[]>(`
    select archive_checksum, functions_deployed
    from _db_gateway_deployments
    where status = 'completed'
    order by id desc
    limit 1
  `)
  return last?.archive_checksum === archiveChecksum ? last.functions_deployed : undefined
}

/** Sends the row of a migration that ran, or that is about to run outside of a transaction. */
export function recordMigration(
  sql: Sql,
  file: SchemaFile,
  status: 'applied' | 'begun' = 'applied',
): Sent {
  return send(sql`
    insert into _db_gateway_migrations (migration_file, checksum, status)
    values (${file.name}, ${file.checksum}, ${status})
  `)
}

/** Sends what is now known of a migration that the ledger has. */
export function updateMigration(
  sql: Sql,
  file: SchemaFile,
  status: 'applied' | 'begun',
  error: string | null = null,
): Sent {
  return send(sql`
    update _db_gateway_migrations
    set checksum = ${file.checksum}, status = ${status}, error = ${error}
    where migration_file = ${file.name}
  `)
}

/** Sends the row of a seeder that ran. */
export function recordSeeder(sql: Sql, file: SchemaFile): Sent {
  return send(sql`
    insert into _db_gateway_seeders (file, checksum) values (${file.name}, ${file.checksum})
  `)
}

/** Sends the rows of the type files that are in place. */
export function recordTypes(sql: Sql, files: SchemaFile[]): Sent {
  return send(sql`
    insert into _db_gateway_types (file, checksum)
    select file, checksum
    from json_to_recordset(${fileRows(files)}::json) as file (file text, checksum text)
    on conflict (file) do update set checksum = excluded.checksum, deployed_at = now()
    where _db_gateway_types.checksum <> excluded.checksum
  `)
}

/** Sends the row of a function file that ran; which functions it made is written down later. */
export function recordFunctionFile(sql: Sql, file: SchemaFile): Sent {
  return send(sql`
    insert into _db_gateway_functions (file, checksum)
    values (${file.name}, ${file.checksum})
    on conflict (file) do update set checksum = excluded.checksum, deployed_at = now()
  `)
}

/** Sends the row of a view file that ran. */
export function recordViewFile(sql: Sql, file: SchemaFile, views: string[]): Sent {
  return send(sql`
    insert into _db_gateway_views (file, checksum, views)
    select ${file.name}, ${file.checksum},
      array(select json_array_elements_text(${JSON.stringify(views)}::json))
    on conflict (file) do update
      set checksum = excluded.checksum, views = excluded.views, deployed_at = now()
  `)
}

/** Deletes the rows of files that the archive does not have any more. */
export async function forgetFiles(sql: Sql, functions: string[], views: string[]): Promise<void> {
  if (functions.length + views.length === 0) return
  await answers([
    send(sql`
      delete from _db_gateway_functions
      where file in (select json_array_elements_text(${JSON.stringify(functions)}::json))
    `),
    send(sql`
      delete from _db_gateway_views
      where file in (select json_array_elements_text(${JSON.stringify(views)}::json))
    `),
  ])
}

/** Sends the row of a deploy. */
export function recordDeployment(sql: Sql, record: DeploymentRecord): Sent {
  const row = JSON.stringify({
    status: record.status,
    archive_checksum: record.archiveChecksum,
    tables_checksum: record.tablesChecksum,
    request_id: record.requestId,
    address: record.address,
    migrations_applied: record.migrationsApplied,
    migrations_repaired: record.migrationsRepaired,
    functions_deployed: record.functionsDeployed,
    functions_changed: record.functionsChanged,
    functions_dropped: record.functionsDropped,
    seeders_applied: record.seedersApplied,
    table_changes: record.tableChanges,
    error: record.error,
    execution_time_ms: record.executionTimeMs,
  })
  return send(sql`
    insert into _db_gateway_deployments (
      status, archive_checksum, tables_checksum, request_id, address, migrations_applied,
      migrations_repaired, functions_deployed, functions_changed, functions_dropped,
      seeders_applied, table_changes, error, execution_time_ms
    )
    select
      status, archive_checksum, tables_checksum, request_id, address, migrations_applied,
      migrations_repaired, functions_deployed, functions_changed, functions_dropped,
      seeders_applied, table_changes, error, execution_time_ms
    from json_populate_record(null::_db_gateway_deployments, ${row}::json)
  `)
}

function fileRows(files: SchemaFile[]): string {
  return JSON.stringify(files.map(({ name, checksum }) => ({ file: name, checksum })))
}

/** How many functions the files made. */
export function countFunctions({ functions }: Ledger): number {
  let count = 0
  for (const file of functions.values()) count += file.functions.length
  return count
}
