import type { Sql } from '../../postgres/pools/connection.ts'
import { sanitize } from '../names.ts'

/**
 * Schemas that name databases of a platform, and stored schemas that were deployed to its tenants.
 */
export interface PlatformSchemas {
  platform: string
  /** Schemas that name a database. */
  named: string[]
  /**
   * For tenants without a schema: the sanitised name of the stored schema deployed last, with the
   * names of all stored schemas that such tenants had before it.
   */
  before: Map<string, Set<string>>
}

/** Returns the schemas of these platforms from the catalog, in no particular order. */
export async function readPlatformSchemas(
  sql: Sql,
  platforms: string[],
): Promise<PlatformSchemas[]> {
  const rows = await sql<{ platform: string; named: string[]; deployed: [string, string[]][] }[]>`
    select platform,
      coalesce(json_agg(distinct schema_name) filter (where schema_name is not null), '[]')
        as named,
      coalesce(
        jsonb_agg(distinct jsonb_build_array(stored_schema, coalesce(stored_before, '{}'))) filter (
          where stored_schema is not null and schema_name is null and tenant_id is not null
        ),
        '[]'
      ) as deployed
    from _db_gateway_databases
    where platform = any (array(select json_array_elements_text(${JSON.stringify(platforms)}::text::json)))
    group by platform
  `
  return rows.map(({ platform, named, deployed }) => ({
    platform,
    named,
    before: collectBefore(deployed),
  }))
}

function collectBefore(deployed: [string, string[]][]): PlatformSchemas['before'] {
  const all: PlatformSchemas['before'] = new Map()
  for (const [name, before] of deployed) {
    const known = all.get(sanitize(name)) ?? new Set()
    for (const one of before) known.add(one)
    all.set(sanitize(name), known)
  }
  return all
}

/**
 * Returns whether a schema without a tenant id means the platform's main database: the stored
 * schema of that name was deployed to it, last or earlier.
 */
export function isBaseOf(schema: string, storedSchemas: string[]): boolean {
  return storedSchemas.some((name) => sanitize(name) === schema)
}

/**
 * Returns whether a tenant id in a schema may mean the tenant without a schema.
 * - It may not if another schema names databases of the platform: one id can then belong to
 *   several tenants.
 * - It may if the tenant has no stored schema, or had this one deployed last.
 * - If it has another stored schema, the two must be releases of one thing: no tenant has this
 *   schema deployed last, or a tenant that does had one of this tenant's schemas before.
 */
export function isTenantOf(
  schema: string,
  storedSchemas: string[],
  { named, before }: PlatformSchemas,
): boolean {
  if (named.some((name) => name !== schema)) return false
  const [last] = storedSchemas
  if (last === undefined || sanitize(last) === schema) return true
  const known = before.get(schema)
  return known === undefined || storedSchemas.some((name) => known.has(name))
}
