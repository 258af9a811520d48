import { sanitize } from '../names.ts'
import type { Sql } from '../postgres/connection.ts'

/** What the databases of a platform are named with, and what was deployed to them. */
export interface PlatformSchemas {
  platform: string
  /** The schemas that databases are named with. */
  named: string[]
  /** The stored schemas that were deployed last to tenants that no schema names, sanitised. */
  deployed: Set<string>
}

/** What the catalog says of the schemas of these platforms, in no order. */
export async function readPlatformSchemas(
  sql: Sql,
  platforms: string[],
): Promise<PlatformSchemas[]> {
  const rows = await sql<{ platform: string; named: string[]; deployed: string[] }[]>`
    select platform,
      coalesce(json_agg(distinct schema_name) filter (where schema_name is not null), '[]')
        as named,
      coalesce(
        json_agg(distinct stored_schema) filter (
          where stored_schema is not null and schema_name is null and tenant_id is not null
        ),
        '[]'
      ) as deployed
    from _db_gateway_databases
    where platform = any (array(select json_array_elements_text(${JSON.stringify(platforms)}::text::json)))
    group by platform
  `
  return rows.map(({ deployed, ...row }) => ({ ...row, deployed: new Set(deployed.map(sanitize)) }))
}

/**
 * Whether a tenant that no schema names may be the one that is meant by its id in a schema. Where another
 * schema names databases, one id can be of several tenants. Where the tenant has another stored schema,
 * its name is that of a release only as long as no other tenant has the schema that is asked for.
 */
export function isTenantOf(
  schema: string,
  storedSchema: string | null,
  { named, deployed }: Pick<PlatformSchemas, 'named' | 'deployed'>,
): boolean {
  if (named.some((name) => name !== schema)) return false
  return storedSchema === null || sanitize(storedSchema) === schema || !deployed.has(schema)
}
