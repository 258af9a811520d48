import type { Sql } from '../../postgres/pools/connection.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'

/** Has the history of a database be that of the owner's. */
export async function moveDeployments(sql: Sql, database: string, to: Owner): Promise<void> {
  await sql`
    update _db_gateway_deployments
    set database = ${databaseName(to)}, tenant_id = ${to.tenantId}
    where database = ${database}
  `
}

/** Copies the history of a database to the owner's, which is a copy of it. */
export async function copyDeployments(sql: Sql, database: string, to: Owner): Promise<void> {
  await sql`
    insert into _db_gateway_deployments (
      database, platform, tenant_id, schema_name, deployed_at, status, archive_checksum, request_id,
      deployment
    )
    select
      ${databaseName(to)}, platform, ${to.tenantId}, schema_name, deployed_at, status,
      archive_checksum, request_id, deployment
    from _db_gateway_deployments where database = ${database} order by id
  `
}
