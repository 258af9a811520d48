import { GatewayError } from '../../errors.ts'
import { databaseName, type Owner } from '../names.ts'
import { describeAbsent, describeTaken } from '../owner-identity.ts'

/**
 * Returns the error for an owner that has no database: database_not_found, or
 * platform_isolation_violation if a database of another platform has the name.
 * @param holder the owner of the database that has the name; undefined if there is none
 */
export function absentError(owner: Owner, holder: Owner | undefined): GatewayError {
  const database = databaseName(owner)
  if (!holder) return new GatewayError('database_not_found', describeAbsent(owner), { database })
  const isOther = holder.platform !== owner.platform
  const code = isOther ? 'platform_isolation_violation' : 'database_not_found'
  return new GatewayError(code, describeTaken(owner, database, holder), { database })
}
