import type { Sql } from '../../postgres/pools/connection.ts'
import { databaseName, type Owner } from '../names.ts'

/**
 * Renames the tenant of a database, and its database, in the catalog; all else that the catalog
 * has of it stays. Ends its hold. Calls that found it before follow it, and follow nobody who had the
 * new name before: see `readRenamed`.
 */
export async function moveEntry(sql: Sql, database: string, to: Owner): Promise<void> {
  await sql`
    update _db_gateway_databases set renamed_from = null, renamed_at = null
    where renamed_from = ${databaseName(to)}
  `
  await sql`
    update _db_gateway_databases
    set database = ${databaseName(to)}, tenant_id = ${to.tenantId}, renamed_from = ${database},
      renamed_at = clock_timestamp(), held_for = null, held_retry_s = null, held_until = null
    where database = ${database}
  `
}

/**
 * Gives a new entry what the catalog says of the schema in the database that it was copied from.
 */
export async function copySchemaState(sql: Sql, from: string, to: string): Promise<void> {
  await sql`
    update _db_gateway_databases d
    set schema_checksum = s.schema_checksum, last_deployed_at = s.last_deployed_at,
      stored_schema = s.stored_schema, stored_before = s.stored_before, made_by = s.made_by
    from _db_gateway_databases s
    where d.database = ${to} and s.database = ${from}
  `
}
