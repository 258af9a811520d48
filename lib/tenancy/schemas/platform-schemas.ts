import type { Sql } from '../../postgres/pools/connection.ts'
import { sanitize } from '../names.ts'

/** What the databases of a platform are named with, and what was deployed to them. */
export interface PlatformSchemas {
  platform: string
  /** The schemas that databases are named with. */
  named: string[]
  /**
   * Of tenants that no schema names: by the stored schema that was deployed last, sanitised, the names of
   * those that they had before it.
   */
  before: Map<string, Set<string>>
}

/** What the catalog says of the schemas of these platforms, in no order. */
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
 * Whether the platform's main database is the one that is meant by a schema without an id: one to which
 * that stored schema was deployed, last or before.
 */
export function isBaseOf(schema: string, storedSchemas: string[]): boolean {
  return storedSchemas.some((name) => sanitize(name) === schema)
}

/**
 * Whether a tenant that no schema names may be the one that is meant by its id in a schema. Where another
 * schema names databases, one id can be of several tenants. Where the tenant has another stored schema,
 * the two are releases of one thing as long as no tenant has the one that is asked for, or where one
 * that has it had before what this tenant has, or had.
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
