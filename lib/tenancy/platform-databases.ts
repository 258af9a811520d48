import type { Sql } from '../postgres/pools/connection.ts'

/** A database of a platform, in the terms of the endpoints that deploy stored schemas. */
export interface PlatformDatabase {
  /** The uuid or the tenant's id; `main` for the base database. */
  id: string
  database_name: string
  /**
   * Name of the stored schema that was deployed last, or of the schema that names the database;
   * null if there is neither.
   */
  schema_name: string | null
  /** Time of creation, ISO 8601. */
  created_at: string
}

/**
 * Returns the databases of a platform, the base databases first.
 * @param schema limits the result to databases that the schema names, and to databases without a
 *   schema to which the stored schema of this name was deployed last
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
