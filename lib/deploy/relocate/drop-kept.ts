import { GatewayError } from '../../errors.ts'
import { forgetMoved, readMoved } from '../../tenancy/catalog/moved-away.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import { describeOwner, ownerFields } from '../../tenancy/owner-identity.ts'
import { dropDatabaseNow } from '../database/database.ts'
import { withDatabaseLock } from '../database/with-lock.ts'
import type { DeployParts } from '../parts.ts'

/**
 * Drops the former database of an owner that was moved to another server.
 * @throws {GatewayError} database_not_found if there is none
 */
export async function dropKept(parts: DeployParts, owner: Owner): Promise<void> {
  const database = databaseName(owner)
  await withDatabaseLock(parts, database, async (admin) => {
    const moved = await readMoved(admin, owner)
    if (!moved) {
      throw new GatewayError(
        'database_not_found',
        `There is no former database of ${describeOwner(owner).replace(/^T/, 't')} on this server`,
        { database },
      )
    }
    await dropDatabaseNow(parts, admin, moved.kept)
    await forgetMoved(admin, database)
    parts.catalog.forget(owner)
    const { kept } = moved
    parts.log.info('The former database of a moved tenant was dropped', {
      ...ownerFields(owner),
      database,
      kept,
    })
  })
}
