import type { ArchiveLimits, SchemaArchive } from '../../archive/archive.ts'
import { readRecentArchive } from '../../archive/recent.ts'
import { someOf } from '../../common/shown.ts'
import { GatewayError } from '../../errors.ts'
import { type Row, toEntry } from '../../tenancy/catalog/catalog-table.ts'
import { sanitize } from '../../tenancy/names.ts'
import { readPacked } from '../../tenancy/schemas/archives.ts'
import { type CatalogAccess, loadStored } from '../../tenancy/schemas/stored-archives.ts'
import { listStored } from '../../tenancy/schemas/stored-schemas.ts'
import type { Target } from '../fleet/targets.ts'
import { carriesOn } from './carries-on.ts'

/** A stored schema, and access to the other stored schemas of its platform. */
export interface StoredScope {
  platform: string
  schemaName: string
  archive: SchemaArchive
  limits: ArchiveLimits
  catalog: CatalogAccess
}

/** The tenants that a stored schema applies to. */
export interface StoredTargets {
  targets: Target[]
  /** Warning about databases that were left out, which the caller may not expect. */
  warnings: string[]
}

/** A tenant and its last deploy. */
interface TenantRow extends Row {
  schema_checksum: string | null
  stored_schema: string | null
}

/** Limit of database names in a warning. */
const MAX_NAMES = 1000

/**
 * Returns the tenants that a stored schema applies to: the databases of that schema, and, of the
 * databases without a schema, those to which it was deployed last and those without a deploy. If
 * the platform has no database of that schema, its name may be that of a release ("v1.1",
 * "latest"). Then tenants whose archive it carries on (see `carriesOn`) are included as well.
 */
export async function findTenants(scope: StoredScope): Promise<StoredTargets> {
  const { platform, schemaName, catalog } = scope
  const schema = sanitize(schemaName)
  const rows = await catalog.use(
    (sql) => sql<TenantRow[]>`
      select database, platform, tenant_id, schema_name, owner_role, schema_checksum, stored_schema
      from _db_gateway_databases
      where platform = ${platform} and coalesce(schema_name, ${schema}) = ${schema}
      order by database
    `,
  )
  const isRelease = rows.every((row) => row.schema_name === null)
  const isCarriedOn = isRelease ? await lookForArchives(scope) : async () => false
  const targets: Target[] = []
  const left: string[] = []
  for (const row of rows) {
    if (row.tenant_id === null) continue
    if (isNamed(row, schemaName) || (await isCarriedOn(row))) targets.push(toEntry(row))
    else left.push(row.database)
  }
  return { targets, warnings: left.length === 0 ? [] : [warnOf(left)] }
}

function isNamed({ schema_name, stored_schema, schema_checksum }: TenantRow, schemaName: string) {
  const isNew = stored_schema === null && schema_checksum === null
  return schema_name !== null || stored_schema === schemaName || isNew
}

/**
 * Returns a function that tells whether the archive carries on the one deployed to a tenant. Each
 * distinct archive is read once.
 */
async function lookForArchives(scope: StoredScope): Promise<(row: TenantRow) => Promise<boolean>> {
  const { platform, archive, limits, catalog } = scope
  const stored = new Set(
    (await catalog.use((sql) => listStored(sql, platform))).map(({ name }) => name),
  )
  const readKept = async (checksum: string) => {
    const packed = await catalog.use((sql) => readPacked(sql, { platform, schema: null }, checksum))
    return packed && readRecentArchive(packed, limits)
  }
  const known = new Map<string, Promise<boolean>>()
  return ({ stored_schema: name, schema_checksum: checksum }) => {
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
