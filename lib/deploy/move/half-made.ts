import { databaseLock } from '../../tenancy/database-lock.ts'
import { dropDatabase } from '../database/database.ts'
import { withDatabaseLock } from '../database/with-lock.ts'
import type { DeployParts } from '../parts.ts'

/** Returns the prefix of the names that copies have while they are made. */
export function copyPrefix(catalogId: string): string {
  return `_db_gateway_copy_${catalogId.slice(0, 8)}_`
}

/** Drops the copies that killed gateways have left half made. */
export async function dropHalfMade(parts: DeployParts): Promise<void> {
  const prefix = copyPrefix(parts.catalogId)
  const rows = await parts.catalog.use(
    (sql) => sql<{ name: string; is_free: boolean }[]>`
      select datname as name,
        pg_try_advisory_xact_lock(${databaseLock(sql, sql`datname`)}) as is_free
      from pg_database where starts_with(datname, ${prefix})
    `,
  )
  for (const { name } of rows.filter((row) => row.is_free)) {
    await withDatabaseLock(parts, name, (admin) => dropDatabase(parts, admin, name))
    parts.log.info('A copy that a gateway has left half made was dropped', { database: name })
  }
}
