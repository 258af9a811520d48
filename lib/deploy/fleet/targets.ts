import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Catalog } from '../../tenancy/catalog/catalog.ts'
import type { Owner } from '../../tenancy/names.ts'
import { describeAbsent, ownerKey } from '../../tenancy/owner-identity.ts'
import { readLeft } from './left.ts'

/** One database to be brought to the schema. */
export interface Target extends Owner {
  database: string
}

/** Which databases a /migrate is for. */
export interface Selection {
  owner: Owner
  archiveChecksum: string
  /** Names of databases or tenant ids that are left out. */
  skip: string[]
  /** Those alone that the last /migrate of this archive did not bring to it. */
  onlyFailed: boolean
}

/** Where no database is named with a schema, but it may be stored, and have been deployed to others. */
const STORED =
  'This is about databases that are named with the schema; POST /v2/migrate and /v2/migrate-all bring those to it to which it was deployed as a stored schema'

/** What a skip calls the main database, beside its name. */
const MAIN = 'main'

/**
 * The databases that a selection means, the main one first, and those of them that are skipped.
 * @throws {GatewayError} database_not_found where there is none; invalid_request for a skip that
 *   means none, and where nothing is known of a /migrate of this archive
 */
export async function selectTargets(
  catalog: Catalog,
  { owner, archiveChecksum, skip, onlyFailed }: Selection,
): Promise<{ targets: Target[]; skipped: Set<string> }> {
  const all = await listTargets(catalog, owner)
  const skipped = findSkipped(all, owner.platform, skip)
  if (!onlyFailed) return { targets: all, skipped }
  const left = await catalog.use((sql) => readLeft(sql, ownerKey(owner), archiveChecksum))
  if (!left) {
    throw new GatewayError(
      'invalid_request',
      `only=failed: no /migrate of this archive to all databases of ${owner.platform} is known; send it without`,
    )
  }
  return { targets: all.filter(({ database }) => left.has(database)), skipped }
}

async function listTargets(catalog: Catalog, owner: Owner): Promise<Target[]> {
  if (owner.tenantId !== null) {
    return [{ ...owner, database: await catalog.find(owner, { anew: true }) }]
  }
  const entries = await catalog.list(owner.platform, owner.schema)
  if (entries.length > 0) return entries
  throw new GatewayError('database_not_found', describeAbsent(owner), {
    ...(owner.schema !== null && { hint: STORED }),
  })
}

function findSkipped(targets: Target[], platform: string, skip: string[]): Set<string> {
  const names = new Map<string, string>()
  for (const { tenantId, database } of targets) names.set(tenantId ?? MAIN, database)
  // A database's name goes before a tenant id that reads alike.
  for (const { database } of targets) names.set(database, database)
  const unknown = skip.find((name) => !names.has(name))
  if (unknown === undefined) return new Set(skip.map((name) => names.get(name)!))
  throw new GatewayError(
    'invalid_request',
    `skip: ${platform} has no database or tenant "${unknown}"`,
  )
}

/**
 * Which of these databases nobody can connect to, and why: they were dropped, or do not allow
 * connections.
 */
export async function findUnreachable(
  sql: Sql,
  databases: string[],
): Promise<Map<string, GatewayError>> {
  const rows = await sql<{ database: string; is_missing: boolean }[]>`
    select c.database, d.oid is null as is_missing
    from json_array_elements_text(${JSON.stringify(databases)}::text::json) as c (database)
    left join pg_database d on d.datname = c.database
    where d.oid is null or not d.datallowconn or d.datconnlimit = -2
  `
  return new Map(
    rows.map(({ database, is_missing }) => [
      database,
      is_missing ? missing(database) : closed(database),
    ]),
  )
}

function missing(database: string): GatewayError {
  return new GatewayError('database_not_found', `Database ${database} does not exist`, {
    database,
    hint: 'Where it was dropped for good, POST /admin/forget-database takes it out of the catalog; POST /register creates it anew.',
  })
}

function closed(database: string): GatewayError {
  return new GatewayError(
    'connection_failed',
    `Database ${database} does not accept connections (ALLOW_CONNECTIONS)`,
    { database },
  )
}
