import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { inTransaction } from '../../postgres/transaction.ts'
import { databaseLock } from '../database-lock.ts'
import { databaseName, type Owner } from '../names.ts'
import { describeAbsent, describeTaken, isSameOwner } from '../owner-identity.ts'
import { readEntries } from './catalog-table.ts'
import { checkNotMoving, MovedAway, readMoved } from './moved-away.ts'

/**
 * Deletes the catalog entry of a database that no longer exists on the server. Holds the advisory
 * lock that creation and removal of the database take. The catalog notifies all gateways.
 * @throws {GatewayError} database_not_found if the catalog does not have it;
 *   database_already_exists if it exists on the server; tenant_busy if it is being moved to another one, or
 *   was a moment ago
 */
export async function forgetEntry(sql: Sql, owner: Owner): Promise<void> {
  const database = databaseName(owner)
  await inTransaction(sql, async () => {
    await sql`
      select pg_advisory_xact_lock(${databaseLock(sql, database)})
    `
    const [entry] = await readEntries(sql, [database])
    const moved = entry ? undefined : await readMoved(sql, owner)
    if (moved) throw new MovedAway(owner, database, moved.movedTo)
    if (!entry || !isSameOwner(entry, owner)) {
      const message = entry ? describeTaken(owner, database, entry) : describeAbsent(owner)
      throw new GatewayError('database_not_found', message, { database })
    }
    checkNotMoving(entry)
    const [found] = await sql`select from pg_database where datname = ${database}`
    if (found) {
      throw new GatewayError(
        'database_already_exists',
        `Database ${database} exists on the server: only a database that was dropped can be forgotten`,
        { database },
      )
    }
    await sql`delete from _db_gateway_databases where database = ${database}`
  })
}
