import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { BeingMoved } from '../../tenancy/catalog/moved-away.ts'
import { describeLabels, findLabelled, type Labels } from '../../tenancy/labels.ts'
import type { Owner } from '../../tenancy/names.ts'
import { describeAbsent, ownerKey } from '../../tenancy/owner-identity.ts'
import type { DeployParts } from '../parts.ts'
import { readFailed } from './failed.ts'
import { readLeft } from './left.ts'
import { isAway, listSites, type Site } from './sites.ts'

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
   * a /migrate of this archive has begun with and did not bring to it.
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

/** The selected databases. */
export interface Selected {
  /** By the servers that they are on. */
  sites: Site<Target>[]
  /** All, the main one first. */
  targets: Target[]
  /** Names of those to skip. */
  skipped: Set<string>
}

/**
 * Returns the selected databases of this server and the others. Of a server that does not answer it is
 * not known which have the labels, or which failed: it has all of them.
 * @throws {GatewayError} database_not_found if there is none; invalid_request if an entry of `skip`
 *   matches no database, or if only=failed finds neither a failure nor a /migrate of this archive
 */
export async function selectTargets(
  parts: DeployParts,
  { owner, archiveChecksum, skip, labels, onlyFailed }: Selection,
): Promise<Selected> {
  const all = await filterSites(await findSites(parts, owner), owner, labels)
  const skipped = findSkipped(inOrder(all), owner.platform, skip)
  if (!onlyFailed) return { sites: all, targets: inOrder(all), skipped }
  const { platformCatalog } = parts
  const left = await platformCatalog.use((sql) => readLeft(sql, ownerKey(owner), archiveChecksum))
  const sites = await onEach(all, async (site) => {
    if (site.away) return site.targets.filter(({ database }) => left?.has(database) ?? true)
    const failed = await site.parts.catalog.use((sql) => readFailed(sql, owner.platform))
    return site.targets.filter(({ database }) => left?.has(database) || failed.has(database))
  })
  const targets = inOrder(sites)
  if (!left && targets.length === 0) {
    throw new GatewayError(
      'invalid_request',
      `only=failed: no deploy to ${owner.platform} failed last, and no /migrate of this archive to all of its databases is known; send the request without only`,
    )
  }
  return { sites, targets, skipped }
}

async function findSites(parts: DeployParts, owner: Owner): Promise<Site<Target>[]> {
  if (owner.tenantId !== null) {
    return [{ parts, targets: [{ ...owner, database: await parts.catalog.locate(owner) }] }]
  }
  const sites = await listSites(
    parts,
    owner.platform,
    ({ catalog }) => catalog.list(owner.platform, owner.schema),
    (placed) => isOf(placed, owner.schema),
  )
  if (sites.some(({ targets }) => targets.length > 0)) return sites
  throw new GatewayError('database_not_found', describeAbsent(owner), {
    ...(owner.schema !== null && { hint: STORED }),
  })
}

/** Whether a database belongs to a schema, as `Catalog.list` has it. */
function isOf({ schema, tenantId }: Owner, wanted: string | null): boolean {
  return schema === wanted || (wanted === 'main' && schema === null && tenantId === null)
}

/** Those of them that have all of the labels. */
async function filterSites(
  sites: Site<Target>[],
  { platform }: Owner,
  labels: Labels,
): Promise<Site<Target>[]> {
  if (Object.keys(labels).length === 0) return sites
  const found = await onEach(sites, async ({ parts, targets }) => {
    if (!parts) return targets.filter(({ tenantId }) => tenantId !== null)
    const labelled = await parts.catalog.use((sql) => findLabelled(sql, platform, labels))
    return targets.filter(({ database }) => labelled.has(database))
  })
  if (found.some(({ targets }) => targets.length > 0)) return found
  throw new GatewayError(
    'database_not_found',
    `No tenant of platform ${platform} has the label ${describeLabels(labels)}`,
  )
}

/** Replaces the databases of each server. One that has ceased to answer keeps its own. */
async function onEach(
  sites: Site<Target>[],
  choose: (site: Site<Target>) => Promise<Target[]>,
): Promise<Site<Target>[]> {
  return Promise.all(
    sites.map(async (site, at) => {
      try {
        return { ...site, targets: await choose(site) }
      } catch (error) {
        if (at === 0 || !isAway(error)) throw error
        return { targets: site.targets, away: error as GatewayError }
      }
    }),
  )
}

/** The databases of all servers in the order of `Catalog.list`. */
export function inOrder(sites: Site<Target>[]): Target[] {
  const all = sites.flatMap(({ targets }) => targets)
  if (sites.length === 1) return all
  const rank = ({ tenantId, schema }: Owner) =>
    (tenantId !== null ? 2 : 0) + (schema !== null ? 1 : 0)
  return all.sort((a, b) => rank(a) - rank(b) || (a.database < b.database ? -1 : 1))
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
  const rows = await sql<
    { database: string; is_missing: boolean; is_known: boolean; is_moved: boolean }[]
  >`
    select c.database, d.oid is null as is_missing,
      exists (
        select from _db_gateway_databases t where t.database = c.database
      ) as is_known,
      exists (
        select from _db_gateway_databases t
        where t.database = c.database and t.hidden_as is not null
      ) or not exists (
        select from _db_gateway_databases t where t.database = c.database
      ) and exists (
        select from _db_gateway_moved m where m.database = c.database
      ) as is_moved
    from json_array_elements_text(${JSON.stringify(databases)}::text::json) as c (database)
    left join pg_database d on d.datname = c.database
    where d.oid is null or not d.datallowconn or d.datconnlimit = -2
  `
  return new Map(
    rows.map(({ database, is_missing, is_known, is_moved }) => [
      database,
      is_missing
        ? is_moved
          ? new BeingMoved(`Database ${database}`, database)
          : missing(database, is_known)
        : closed(database),
    ]),
  )
}

function missing(database: string, isKnown: boolean): GatewayError {
  return new GatewayError('database_not_found', `Database ${database} does not exist`, {
    database,
    hint: isKnown
      ? 'If it was dropped on purpose, POST /admin/forget-database removes it from the catalog; POST /register creates it again.'
      : 'The tenant was dropped or renamed meanwhile. If it was renamed, send the request again.',
  })
}

function closed(database: string): GatewayError {
  return new GatewayError(
    'connection_failed',
    `Database ${database} does not accept connections (ALLOW_CONNECTIONS)`,
    { database },
  )
}
