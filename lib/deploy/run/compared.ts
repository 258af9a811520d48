import { createHash } from 'node:crypto'
import type { SchemaFile } from '../../archive/archive.ts'
import { Recent } from '../../common/recent.ts'
import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { sendTables } from '../changes/tables.ts'
import type { Ask } from './run-file.ts'
import { type Declared, deployTables, type TablesResult } from './tables.ts'

/**
 * Cached results of comparing declarations with tables. The databases of a fleet have the same
 * tables, and the comparison takes PostgreSQL longer than the rest of most deploys.
 */
const compared = new Map<string, TablesResult>()
const MAX_COMPARED = 100

/** Which declarations were compared, in some database, after which migrations. */
const behind = new Recent<true>(MAX_COMPARED)

/**
 * Whether these files were compared in some database right after the same migrations ran. The call
 * itself records them as compared.
 */
export function wasCompared(checksum: string, migrations: SchemaFile[]): boolean {
  const key = `${checksum} ${checksumOf(migrations)}`
  const isKnown = behind.get(key) ?? false
  behind.set(key, true, 1)
  return isKnown
}

/**
 * Like `deployTables`, but caches the result for databases with the same tables.
 * @param checksum checksum of the files
 * @param print fingerprint of the tables, if it has been read already
 * @param declared the files as read, if they have been read already
 * @throws {GatewayError} table_deploy_failed
 */
export async function deployTablesOnce(
  sql: Sql,
  database: string,
  files: SchemaFile[],
  checksum: string,
  ask: Ask,
  print: Promise<string> = fingerprint(sql),
  declared?: Declared,
): Promise<TablesResult> {
  const key = `${checksum} ${await print}`
  const known = compared.get(key)
  if (known) return known
  const result = await deployTables(sql, database, files, ask, declared)
  // A result that created tables is not cached: the next database has to create them too.
  if (result.created.length > 0) return result
  if (compared.size >= MAX_COMPARED) compared.clear()
  compared.set(key, result)
  return result
}

/**
 * Returns a fingerprint of all relations of the database. Equal fingerprints mean equal tables, and
 * no other relation under the name of a table.
 * @param tables the tables, if they have been read already
 */
export async function fingerprint(sql: Sql, tables = sendTables(sql)): Promise<string> {
  const [all, others] = await Promise.all([tables, readOthers(sql)])
  const plain = all
    .filter(({ kind }) => kind === 'r' || kind === 'p')
    .map(({ schema, name, columns }) => [
      schema,
      name,
      columns.map(({ number: _, ...column }) => column),
    ])
  return `${JSON.stringify(plain)} ${others}`
}

/** Returns the names of other relations, which could have the name of a declared table. */
async function readOthers(sql: Sql): Promise<string> {
  const [row] = await send(
    sql.unsafe<{ names: string | null }[]>(`
      select string_agg(relkind::text || relnamespace::regnamespace::text || '.' || relname, ' '
        order by relnamespace::regnamespace::text, relname) as names
      from pg_class
      where relkind in ('f', 'v', 'm', 'S', 'i', 'I', 'c')
        and relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
        and relnamespace::regnamespace::text not like 'pg\\_t%'
    `),
  )
  return row?.names ?? ''
}

/** Returns the SHA-256 of the paths and checksums of a section's files, in hex. */
export function checksumOf(files: SchemaFile[]): string {
  const lines = files.map(({ path, checksum }) => `${path} ${checksum}\n`)
  return createHash('sha256').update(lines.join('')).digest('hex')
}
