import { isPostgresError } from '../../postgres/errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { UNDEFINED_TABLE } from '../../postgres/sqlstates.ts'
import { isUnfinished } from '../../tenancy/catalog/creations.ts'
import { asGateway } from '../database/handover.ts'
import type { DeployParts } from '../parts.ts'

/**
 * Whether a database that is in no catalog is what a killed gateway has left of making it: it was being
 * made, and no deploy to it has ended, so that nobody had it. `admin` is a connection to the
 * administrative database, under the lock of the database's name.
 */
export async function isLeftOver(parts: DeployParts, admin: Sql, name: string): Promise<boolean> {
  if (!(await isUnfinished(admin, name))) return false
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
