import type { SchemaFile } from '../archive/archive.ts'
import type { Sql } from '../postgres/connection.ts'
import { type Sent, send } from './pipeline.ts'

/**
 * The gateway's tables in each platform database. `_db_gateway_migrations` is named and laid out
 * as the original gateway did, so that databases it managed carry over.
 */
const TABLES = `
  create table if not exists _db_gateway_migrations (
    id serial primary key,
    migration_file text not null unique,
    checksum text not null,
    applied_at timestamptz default now()
  );
  create table if not exists _db_gateway_functions (
    file text primary key,
    checksum text not null,
    -- schema.name(types) of each function that the file made
    functions text[] not null default '{}',
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
    archive_checksum text not null,
    request_id text not null,
    address text not null,
    migrations_applied integer not null,
    functions_deployed integer not null,
    functions_changed integer not null,
    seeders_applied integer not null,
    execution_time_ms integer not null
  );
`

/** What a database says of itself: which files it has had, by file name. */
export interface Ledger {
  /** Checksum of the archive that was deployed last; null before the first. */
  archiveChecksum: string | null
  migrations: Map<string, string>
  functions: Map<string, { checksum: string; functions: string[] }>
  seeders: Map<string, string>
}

/** What a deploy did, as the ledger keeps it. */
export interface DeploymentRecord {
  archiveChecksum: string
  requestId: string
  address: string
  migrationsApplied: number
  functionsDeployed: number
  functionsChanged: number
  seedersApplied: number
  executionTimeMs: number
}

/** Creates the ledger's tables where they do not exist. */
export async function prepareLedger(sql: Sql): Promise<void> {
  await sql.unsafe(TABLES)
}

/** Reads the ledger; its tables exist. */
export async function readLedger(sql: Sql): Promise<Ledger> {
  const [row] = await sql<
    {
      archive_checksum: string | null
      migrations: [string, string][]
      functions: [string, string, string[]][]
      seeders: [string, string][]
    }[]
  >`
    select
      (select archive_checksum from _db_gateway_deployments order by id desc limit 1),
      (select coalesce(json_agg(json_build_array(migration_file, checksum)), '[]')
        from _db_gateway_migrations) as migrations,
      (select coalesce(json_agg(json_build_array(file, checksum, functions)), '[]')
        from _db_gateway_functions) as functions,
      (select coalesce(json_agg(json_build_array(file, checksum)), '[]')
        from _db_gateway_seeders) as seeders
  `
  return {
    archiveChecksum: row!.archive_checksum,
    migrations: new Map(row!.migrations),
    functions: new Map(
      row!.functions.map(([file, checksum, functions]) => [file, { checksum, functions }]),
    ),
    seeders: new Map(row!.seeders),
  }
}

/**
 * How many functions are in place, where the archive with this checksum was the last one deployed;
 * undefined where it was not. One round trip, no lock.
 */
export async function findInPlace(sql: Sql, archiveChecksum: string): Promise<number | undefined> {
  const [row] = await sql<{ functions_deployed: number }[]>`
    select functions_deployed
    from (select * from _db_gateway_deployments order by id desc limit 1) as last
    where archive_checksum = ${archiveChecksum}
  `
  return row?.functions_deployed
}

/** Sends the row of a migration that ran. */
export function recordMigration(sql: Sql, file: SchemaFile): Sent {
  return send(sql`
    insert into _db_gateway_migrations (migration_file, checksum)
    values (${file.name}, ${file.checksum})
  `)
}

/** Sends the row of a seeder that ran. */
export function recordSeeder(sql: Sql, file: SchemaFile): Sent {
  return send(sql`
    insert into _db_gateway_seeders (file, checksum) values (${file.name}, ${file.checksum})
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

export async function recordDeployment(sql: Sql, record: DeploymentRecord): Promise<void> {
  await sql`
    insert into _db_gateway_deployments (
      archive_checksum, request_id, address, migrations_applied, functions_deployed,
      functions_changed, seeders_applied, execution_time_ms
    )
    values (
      ${record.archiveChecksum}, ${record.requestId}, ${record.address},
      ${record.migrationsApplied}, ${record.functionsDeployed}, ${record.functionsChanged},
      ${record.seedersApplied}, ${record.executionTimeMs}
    )
  `
}
