import { isPostgresError } from '../../postgres/errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { UNDEFINED_TABLE } from '../../postgres/sqlstates.ts'
import { findUnfinished } from '../../tenancy/catalog/creations.ts'
import { asGateway } from '../database/handover.ts'
import type { DeployParts } from '../parts.ts'

/**
 * Whether an uncatalogued database was left by a gateway that was killed while creating it. No
 * deploy to it has ended, so it never had a user.
 * @param admin connection to the administrative database that holds the lock of the name (see
 *   `withDatabaseLock`)
 */
export async function isLeftOver(parts: DeployParts, admin: Sql, name: string): Promise<boolean> {
  if (!(await findUnfinished(admin, name))) return false
  return !(await asGateway(parts, name, hasEndedDeploy))
}

async function hasEndedDeploy(sql: Sql): Promise<boolean> {
  try {
    const rows = await sql`select from public._db_gateway_deployments limit 1`
    return rows.length > 0
  } catch (error) {
    if (isPostgresError(error) && error.code === UNDEFINED_TABLE) return false
    throw error
  }
}
