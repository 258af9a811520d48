import type { Sql } from '../../postgres/pools/connection.ts'
import { databaseLock } from '../../tenancy/database-lock.ts'
import { listStored } from '../../tenancy/schemas/stored-schemas.ts'
import { dropDatabase } from '../database/database.ts'
import type { DeployParts } from '../parts.ts'
import { findSuperfluous, forgetTemplate, markUnfinished } from './table.ts'

/**
 * Drops the superfluous templates of a platform, except `except` and those that a gateway is
 * working on.
 * @param admin session in the administrative database
 */
export async function dropSuperfluous(
  parts: DeployParts,
  admin: Sql,
  platform: string,
  except?: string,
): Promise<void> {
  const schemas = await parts.platformCatalog.use((sql) => listStored(sql, platform))
  const stored = schemas.map(({ checksum }) => checksum)
  for (const database of await findSuperfluous(admin, platform, stored)) {
    if (database === except) continue
    const key = databaseLock(admin, database)
    const [row] = await admin<{ locked: boolean }[]>`
      select pg_try_advisory_lock(${key}) as locked
    `
    if (!row!.locked) continue
    try {
      // If the gateway is killed after this, the next call drops the template.
      await markUnfinished(admin, database)
      parts.templates.unsettle(database)
      await dropDatabase(parts, admin, database)
      await forgetTemplate(admin, database)
    } finally {
      await admin`select pg_advisory_unlock(${key})`
    }
  }
}
