import { databaseName, type Owner, sanitize } from '../names.ts'
import { isBaseOf, isTenantOf, type PlatformSchemas } from '../schemas/platform-schemas.ts'
import type { NamedEntry } from './catalog-table.ts'
import type { LookupOptions, OwnerLookups } from './owner-lookups.ts'

/** The parts of the catalog in which the database is looked up. */
export interface FormerParts {
  lookups: OwnerLookups<NamedEntry>
  schemas: OwnerLookups<PlatformSchemas>
  /** Caches the platform and the role of a found database. */
  note(entry: NamedEntry): void
}

/**
 * Finds the database without a schema that answers for an owner which has no database of its own.
 * - Owner without a tenant id: the platform's main database, if `isBaseOf` allows it.
 * - Owner with a schema: the tenant whose id gives the same name, if `isTenantOf` allows it.
 * - Owner without a schema: the same tenant, with `anySpelling` or if the tenant is freely
 *   spelled.
 * @param holder entry that has the name of the owner's own database
 * @returns the entry; `isRemembered` tells whether every catalog row behind the answer is still
 *   cached
 */
export async function findFormer(
  { lookups, schemas: platforms, note }: FormerParts,
  { platform, tenantId, schema }: Owner,
  holder: NamedEntry | undefined,
  { anySpelling = false, ...options }: LookupOptions & { anySpelling?: boolean },
): Promise<{ entry: NamedEntry; isRemembered: () => boolean } | undefined> {
  if (schema === null && tenantId === null) return undefined
  const id = tenantId === null ? null : sanitize(tenantId)
  const name = databaseName({ platform, tenantId: id, schema: null })
  const entry = holder?.database === name ? holder : await lookups.find(name, options)
  if (entry?.platform !== platform || entry.schema !== null) return undefined
  const isEntryRemembered = () => lookups.remembers(entry)
  if (tenantId === null || entry.tenantId === null) {
    const isBase = schema !== null && !holder && isBaseOf(schema, entry.storedSchemas)
    if (tenantId !== entry.tenantId || !isBase) return undefined
    note(entry)
    return { entry, isRemembered: isEntryRemembered }
  }
  if (sanitize(entry.tenantId) !== id) return undefined
  if (schema === null && !anySpelling && !entry.isSpelledFreely) return undefined
  note(entry)
  if (schema === null) return { entry, isRemembered: isEntryRemembered }
  const schemas = await platforms.find(platform, options)
  if (!schemas || !isTenantOf(schema, entry.storedSchemas, schemas)) return undefined
  const isRemembered = () => isEntryRemembered() && platforms.remembers(schemas)
  return { entry, isRemembered }
}
