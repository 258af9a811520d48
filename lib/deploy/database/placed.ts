import type { Sql } from '../../postgres/pools/connection.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import type { DeployParts } from '../parts.ts'

/**
 * Runs work that makes the owner's database on this server and enters it into the catalog. No other
 * server gets a database of that name; if the work fails, the name is free again.
 * @param admin session that holds the lock of its name (see `withDatabaseLock`)
 * @throws {GatewayError} name_conflict if the database is on another server
 */
export async function placed<T>(
  { places }: Pick<DeployParts, 'places'>,
  admin: Sql,
  owner: Owner,
  work: () => Promise<T>,
): Promise<T> {
  await places.take(admin, owner)
  try {
    return await work()
  } finally {
    await places.leave(admin, databaseName(owner))
  }
}
