import { createHash } from 'node:crypto'
import type { SchemaFile } from '../../archive/archive.ts'
import { Recent } from '../../common/recent.ts'
import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { sendTables } from '../changes/tables.ts'
import type { Ask } from './run-file.ts'
import { type Declared, deployTables, type TablesResult } from './tables.ts'

/**
 * What comparing declarations with tables came to. The databases of a fleet have the same tables,
 * and PostgreSQL works longer for this than for the rest of most deploys.
 */
const compared = new Map<string, TablesResult>()
const MAX_COMPARED = 100

/** What has been compared behind which migrations, in some database. */
const behind = new Recent<true>(MAX_COMPARED)

/**
 * Whether these files have been compared in some database in which the same migrations had run just before;
 * notes that they are by now.
 */
export function wasCompared(checksum: string, migrations: SchemaFile[]): boolean {
  const key = `${checksum} ${checksumOf(migrations)}`
  const isKnown = behind.get(key) ?? false
  behind.set(key, true, 1)
  return isKnown
}

/**
 * As `deployTables`, but remembers what came of it for databases that have the same tables.
 * `checksum` is that of the files, `print` what the database has, where that has been read, as `declared`.
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
  // Where tables had to be created, the next database has to have that done too.
  if (result.created.length > 0) return result
  if (compared.size >= MAX_COMPARED) compared.clear()
  compared.set(key, result)
  return result
}

/**
 * All relations as they are now (`tables`, where they are read already), whichever database it is: equal texts mean equal tables, and nothing
 * else in their place.
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

/** What else may have the name of a declared table. */
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

/** SHA-256 over the files of a section, in hex. */
export function checksumOf(files: SchemaFile[]): string {
  const lines = files.map(({ path, checksum }) => `${path} ${checksum}\n`)
  return createHash('sha256').update(lines.join('')).digest('hex')
}
