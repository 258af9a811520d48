import { execFile } from 'node:child_process'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { inject } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { findPgTool } from '../../lib/postgres/pg-tools.ts'
import { type Answer, queryDatabase, type TestGateway } from './gateway.ts'

/** Returns the folder of pg_dump and pg_restore for the test server; undefined without them. */
export async function findTools(): Promise<string | undefined> {
  const { database } = parseDatabaseUrl(inject('databaseUrl'))
  const [row] = await queryDatabase(database, 'show server_version_num', { asGateway: true })
  const path = await findPgTool('pg_restore', Math.floor(row.server_version_num / 10_000))
  return path && dirname(path)
}

/** Dumps a database in the custom format, as the gateway's role. */
export async function dumpByHand(
  folder: string,
  database: string,
  more: string[] = [],
): Promise<Buffer> {
  const options = { env: environment(), encoding: 'buffer' as const }
  const { stdout } = await promisify(execFile)(
    join(folder, 'pg_dump'),
    ['-Fc', ...more, database],
    options,
  )
  return stdout
}

/** Restores a dump to a new database as docs/backup.md says, as the gateway's role. */
export async function restoreByHand(folder: string, database: string, file: string): Promise<void> {
  const home = parseDatabaseUrl(inject('databaseUrl')).database
  await queryDatabase(home, `create database ${database} template template0`, { asGateway: true })
  const options = ['--no-owner', '--exit-on-error', '-d', database, file]
  await promisify(execFile)(join(folder, 'pg_restore'), options, { env: environment() })
}

/** How PostgreSQL's programs reach the test server. */
function environment(): Record<string, string> {
  const { host, port, user, password } = parseDatabaseUrl(inject('databaseUrl'))
  return { PGHOST: host, PGPORT: `${port}`, PGUSER: user, PGPASSWORD: password }
}

/** Makes a table with rows of 50 KB that no program compresses, as the database's platform. */
export async function makeNoise(database: string, table: string, rows: number): Promise<void> {
  await queryDatabase(
    database,
    `create table ${table} as select (
       select string_agg(sha512(int4send(i * 1000 + j)), '') from generate_series(1, 800) j
     ) as noise from generate_series(1, ${rows}) i`,
  )
}

/** A tenant, as the query of an export or import names it. */
export interface Tenant {
  platform: string
  tenant_id: string
  label?: string
  /** Of an import, with SERVERS. */
  server?: string
}

/** Begins an export; its body is read by the caller. */
export function exportTenant(
  { url }: Pick<TestGateway, 'url'>,
  tenant: Tenant,
  init: RequestInit = {},
): Promise<Response> {
  return fetch(`${url}/admin/export?${new URLSearchParams({ ...tenant })}`, init)
}

/** A dump, or the stream of one. */
export type Dump = NonNullable<RequestInit['body']>

/** Sends a dump to /admin/import. */
export async function importTenant(
  { url }: Pick<TestGateway, 'url'>,
  tenant: Tenant,
  dump: Dump,
  init: RequestInit = {},
): Promise<Answer> {
  const response = await fetch(`${url}/admin/import?${new URLSearchParams({ ...tenant })}`, {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream' },
    body: dump,
    duplex: 'half',
    ...init,
  } as RequestInit)
  return { status: response.status, headers: response.headers, body: await response.json() }
}
