import type { ArchiveLimits, SchemaArchive } from '../../archive/archive.ts'
import { readRecentArchive } from '../../archive/recent.ts'
import { someOf } from '../../common/shown.ts'
import { GatewayError } from '../../errors.ts'
import { type Row, toEntry } from '../../tenancy/catalog/catalog-table.ts'
import { sanitize } from '../../tenancy/names.ts'
import { readPacked } from '../../tenancy/schemas/archives.ts'
import { type CatalogAccess, loadStored } from '../../tenancy/schemas/stored-archives.ts'
import { listStored } from '../../tenancy/schemas/stored-schemas.ts'
import { listSites, type Site } from '../fleet/sites.ts'
import type { Target } from '../fleet/targets.ts'
import type { DeployParts } from '../parts.ts'
import { carriesOn } from './carries-on.ts'

/** A stored schema, and access to the other stored schemas of its platform. */
export interface StoredScope {
  platform: string
  schemaName: string
  archive: SchemaArchive
  limits: ArchiveLimits
}

/** The tenants that a stored schema applies to. */
export interface StoredTargets {
  /** By the servers that they are on. */
  sites: Site<Target>[]
  targets: Target[]
  /** Warning about databases that were left out, which the caller may not expect. */
  warnings: string[]
}

/** A tenant and its last deploy. */
interface Tenant extends Target {
  checksum: string | null
  stored: string | null
}

/** Limit of database names in a warning. */
const MAX_NAMES = 1000

/**
 * Returns the tenants that a stored schema applies to: the databases of that schema, and, of the
 * databases without a schema, those to which it was deployed last and those without a deploy. If
 * the platform has no database of that schema, its name may be that of a release ("v1.1",
 * "latest"). Then tenants whose archive it carries on (see `carriesOn`) are included as well. Of a
 * server that does not answer, all tenants are included that may be meant.
 */
export async function findTenants(parts: DeployParts, scope: StoredScope): Promise<StoredTargets> {
  const { platform, schemaName } = scope
  const schema = sanitize(schemaName)
  const found = await listSites(
    parts,
    platform,
    (there) => readTenants(there, platform, schema),
    (placed) => placed.tenantId !== null && (placed.schema ?? schema) === schema,
  )
  const isRelease = found.every(({ targets }) => targets.every((one) => one.schema === null))
  const isCarriedOn = isRelease
    ? await lookForArchives(parts.platformCatalog, scope)
    : async () => false
  const sites: Site<Target>[] = []
  const left: string[] = []
  for (const site of found) {
    if (site.away) {
      sites.push(site)
      continue
    }
    const targets: Target[] = []
    for (const one of site.targets as Tenant[]) {
      if (one.tenantId === null) continue
      if (isNamed(one, schemaName) || (await isCarriedOn(one))) targets.push(one)
      else left.push(one.database)
    }
    sites.push({ ...site, targets })
  }
  const targets = sites.flatMap((site) => site.targets)
  return { sites, targets, warnings: left.length === 0 ? [] : [warnOf(left)] }
}

/** Reads the databases of the schema, and those without one, from the catalog of a server. */
async function readTenants(
  { catalog }: DeployParts,
  platform: string,
  schema: string,
): Promise<Tenant[]> {
  const rows = await catalog.use(
    (sql) => sql<(Row & { schema_checksum: string | null; stored_schema: string | null })[]>`
      select database, platform, tenant_id, schema_name, owner_role, schema_checksum, stored_schema
      from _db_gateway_databases
      where platform = ${platform} and coalesce(schema_name, ${schema}) = ${schema}
      order by database
    `,
  )
  return rows.map((row) => {
    const { schema_checksum: checksum, stored_schema: stored } = row
    return { ...toEntry(row), checksum, stored }
  })
}

function isNamed({ schema, stored, checksum }: Tenant, schemaName: string) {
  const isNew = stored === null && checksum === null
  return schema !== null || stored === schemaName || isNew
}

/**
 * Returns a function that tells whether the archive carries on the one deployed to a tenant. Each
 * distinct archive is read once.
 */
async function lookForArchives(
  catalog: CatalogAccess,
  { platform, archive, limits }: StoredScope,
): Promise<(tenant: Tenant) => Promise<boolean>> {
  const stored = new Set(
    (await catalog.use((sql) => listStored(sql, platform))).map(({ name }) => name),
  )
  const readKept = async (checksum: string) => {
    const packed = await catalog.use((sql) => readPacked(sql, { platform, schema: null }, checksum))
    return packed && readRecentArchive(packed, limits)
  }
  const known = new Map<string, Promise<boolean>>()
  return ({ stored: name, checksum }) => {
    const isStored = name !== null && stored.has(name)
    const key = JSON.stringify(isStored ? { name } : { checksum })
    const isKnown =
      known.get(key) ??
      isAfter(archive, async () => {
        if (isStored) return (await loadStored(catalog, platform, name, limits)).archive
        return checksum === null ? undefined : readKept(checksum)
      })
    known.set(key, isKnown)
    return isKnown
  }
}

/** Returns false if the other archive is not stored, or can no longer be read. */
async function isAfter(
  archive: SchemaArchive,
  readBefore: () => Promise<SchemaArchive | undefined>,
): Promise<boolean> {
  try {
    const before = await readBefore()
    return before !== undefined && carriesOn(archive, before)
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'schema_extraction_failed') return false
    throw error
  }
}

function warnOf(left: string[]): string {
  return `Left out, because another archive was deployed there: ${someOf(left, MAX_NAMES)}. POST /v2/migrate with database_id brings them to this one`
}
