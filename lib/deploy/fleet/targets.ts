import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Catalog } from '../../tenancy/catalog/catalog.ts'
import { describeLabels, findLabelled, type Labels } from '../../tenancy/labels.ts'
import type { Owner } from '../../tenancy/names.ts'
import { describeAbsent, ownerKey } from '../../tenancy/owner-identity.ts'
import { readFailed } from './failed.ts'
import { readLeft } from './left.ts'

/** A database that /migrate brings to the schema. */
export interface Target extends Owner {
  database: string
}

/** Selects the databases of a /migrate. */
export interface Selection {
  owner: Owner
  archiveChecksum: string
  /** Names of databases or tenant ids to leave out. */
  skip: string[]
  /** Restricts the selection to tenants that have all of these labels, if there are any. */
  labels: Labels
  /**
   * Restricts the selection to databases whose last deploy failed, of whatever archive, and those that
   * the last /migrate of this archive did not bring to it.
   */
  onlyFailed: boolean
}

/**
 * Hint for a schema without databases of its own name; it may be a stored schema that was deployed
 * to others.
 */
const STORED =
  'This request applies to databases whose name contains the schema. For databases to which it was deployed as a stored schema, use POST /v2/migrate or /v2/migrate-all'

/** Alias of the main database in `skip`, in addition to its name. */
const MAIN = 'main'

/**
 * Returns the selected databases, the main one first, and the names of those to skip.
 * @throws {GatewayError} database_not_found if there is none; invalid_request if an entry of `skip`
 *   matches no database, or if only=failed finds neither a failure nor a /migrate of this archive
 */
export async function selectTargets(
  catalog: Catalog,
  { owner, archiveChecksum, skip, labels, onlyFailed }: Selection,
): Promise<{ targets: Target[]; skipped: Set<string> }> {
  const all = await filterTargets(catalog, await listTargets(catalog, owner), owner, labels)
  const skipped = findSkipped(all, owner.platform, skip)
  if (!onlyFailed) return { targets: all, skipped }
  const left = await catalog.use((sql) => readLeft(sql, ownerKey(owner), archiveChecksum))
  const failed = await catalog.use((sql) => readFailed(sql, owner.platform))
  const chosen = all.filter(({ database }) => left?.has(database) || failed.has(database))
  if (!left && chosen.length === 0) {
    throw new GatewayError(
      'invalid_request',
      `only=failed: no deploy to ${owner.platform} failed last, and no /migrate of this archive to all of its databases is known; send the request without only`,
    )
  }
  return { targets: chosen, skipped }
}

async function listTargets(catalog: Catalog, owner: Owner): Promise<Target[]> {
  if (owner.tenantId !== null) {
    return [{ ...owner, database: await catalog.locate(owner) }]
  }
  const entries = await catalog.list(owner.platform, owner.schema)
  if (entries.length > 0) return entries
  throw new GatewayError('database_not_found', describeAbsent(owner), {
    ...(owner.schema !== null && { hint: STORED }),
  })
}

/** Those of them that have all of the labels. */
async function filterTargets(
  catalog: Catalog,
  targets: Target[],
  { platform }: Owner,
  labels: Labels,
): Promise<Target[]> {
  if (Object.keys(labels).length === 0) return targets
  const labelled = await catalog.use((sql) => findLabelled(sql, platform, labels))
  const found = targets.filter(({ database }) => labelled.has(database))
  if (found.length > 0) return found
  throw new GatewayError(
    'database_not_found',
    `No tenant of platform ${platform} has the label ${describeLabels(labels)}`,
  )
}

function findSkipped(targets: Target[], platform: string, skip: string[]): Set<string> {
  const names = new Map<string, string>()
  for (const { tenantId, database } of targets) names.set(tenantId ?? MAIN, database)
  // A database name takes precedence over an equal tenant id.
  for (const { database } of targets) names.set(database, database)
  const unknown = skip.find((name) => !names.has(name))
  if (unknown === undefined) return new Set(skip.map((name) => names.get(name)!))
  throw new GatewayError(
    'invalid_request',
    `skip: ${platform} has no database or tenant "${unknown}"`,
  )
}

/** Returns an error for each of these databases that accepts no connections or does not exist. */
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
    hint: 'If it was dropped on purpose, POST /admin/forget-database removes it from the catalog; POST /register creates it again.',
  })
}

function closed(database: string): GatewayError {
  return new GatewayError(
    'connection_failed',
    `Database ${database} does not accept connections (ALLOW_CONNECTIONS)`,
    { database },
  )
}
