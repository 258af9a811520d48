import type { Sql } from '../postgres/pools/connection.ts'

/** A database of a platform, as those who deploy stored schemas name it. */
export interface PlatformDatabase {
  /** The uuid or the tenant's id; `main`: the base database. */
  id: string
  database_name: string
  /** Of the stored schema that was deployed last, or of which it is; null: neither. */
  schema_name: string | null
  /** ISO 8601. */
  created_at: string
}

/**
 * The databases of a platform, the base ones first. `schema`: those of a schema, or to which the stored
 * schema of that name was deployed last.
 */
export async function listPlatformDatabases(
  sql: Sql,
  platform: string,
  schema?: { name: string; sanitized: string },
): Promise<PlatformDatabase[]> {
  const isIt =
    schema === undefined
      ? sql``
      : sql`and (schema_name = ${schema.sanitized}
          or schema_name is null and stored_schema = ${schema.name})`
  return sql<PlatformDatabase[]>`
    select
      coalesce(tenant_id, 'main') as id,
      database as database_name,
      coalesce(stored_schema, schema_name) as schema_name,
      to_json(created_at) as created_at
    from _db_gateway_databases
    where platform = ${platform} ${isIt}
    order by tenant_id is not null, database
  `
}
