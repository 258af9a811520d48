import type { Sql } from '../../postgres/pools/connection.ts'
import { dropDatabase } from '../database/database.ts'
import type { DeployParts } from '../parts.ts'
import { findSuperfluous, forgetTemplate, markUnfinished } from './table.ts'

/**
 * Drops the templates of a platform that are not to stay, but for those that a gateway works on at
 * this moment, and but for `except`. `admin` is a connection to the administrative database.
 */
export async function dropSuperfluous(
  parts: DeployParts,
  admin: Sql,
  platform: string,
  except?: string,
): Promise<void> {
  for (const database of await findSuperfluous(admin, platform)) {
    if (database === except) continue
    const key = [`hashtext('_db_gateway_database')`, 'hashtext($1)'].join(', ')
    const [row] = await admin.unsafe<{ locked: boolean }[]>(
      `select pg_try_advisory_lock(${key}) as locked`,
      [database],
    )
    if (!row!.locked) continue
    try {
      // Killed from here on, it is dropped the next time.
      await markUnfinished(admin, database)
      parts.templates.unsettle(database)
      await dropDatabase(parts, admin, database)
      await forgetTemplate(admin, database)
    } finally {
      await admin.unsafe(`select pg_advisory_unlock(${key})`, [database])
    }
  }
}
