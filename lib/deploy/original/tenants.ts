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

/** A stored schema, and where the others of its platform are. */
export interface StoredScope {
  platform: string
  schemaName: string
  archive: SchemaArchive
  limits: ArchiveLimits
  catalog: CatalogAccess
}

/** Which tenants a stored schema is for. */
export interface StoredTargets {
  targets: Target[]
  /** Of those that are left out, what people may not expect. */
  warnings: string[]
}

/** A tenant, and what was deployed to it last. */
interface TenantRow extends Row {
  schema_checksum: string | null
  stored_schema: string | null
}

/** Names in a warning. */
const MAX_NAMES = 1000

/**
 * The tenants that a stored schema is for: those that are named with it, and of those that are named by
 * the platform alone, those to which it was deployed last, or nothing yet. Where no database is named
 * with it, its name may be that of a release ("v1.1", "latest"): then also those of the latter whose
 * archive it carries on.
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

/** What says whether the archive carries on the one that a tenant has; each of those is read once. */
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

/** False where the other archive is not kept, or cannot be read any more. */
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
  return `Left out, since another archive was deployed there: ${someOf(left, MAX_NAMES)}. POST /v2/migrate with database_id brings them to this one`
}
