import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import { inTransaction } from '../../postgres/transaction.ts'
import { readEntry } from '../../tenancy/catalog/catalog-table.ts'
import {
  beginCreation,
  findUnfinished,
  forgetCreation,
  isAnnounced,
} from '../../tenancy/catalog/creations.ts'
import { noteMoved, readMoved, setHidden } from '../../tenancy/catalog/moved-away.ts'
import { endHold } from '../../tenancy/catalog/tenant-hold.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import { isSameOwner } from '../../tenancy/owner-identity.ts'
import { isLeft } from '../database/database.ts'
import type { DeployParts } from '../parts.ts'
import { deleteHistory, takeBackUsage } from './rows.ts'

/** Milliseconds that PostgreSQL gets to give a database its name back, when its sessions have ended. */
const RENAME_LIMIT_MS = 10_000

/**
 * Has the source be as before the move: its name, and its calls. May be repeated.
 * @param admin session in its administrative database that holds the lock of the name
 * @throws {Error} if somebody has made another database of its name
 */
export async function restoreSource(
  parts: DeployParts,
  admin: Sql,
  owner: Owner,
  kept: string,
): Promise<void> {
  const database = databaseName(owner)
  const names = await admin<{ name: string }[]>`
    select datname as name from pg_database where datname in (${database}, ${kept})
  `
  if (names.length === 2) {
    throw new Error(
      `it has two databases, ${kept} with its rows and ${database}: drop or rename the latter`,
    )
  }
  if (names[0]?.name === kept) {
    await parts.pools.closeDatabase(kept)
    // pg_dump of a gateway that was killed may run yet.
    await admin`
      select pg_terminate_backend(pid) from pg_stat_activity
      where datname = ${kept} and usesysid is not null and pg_has_role(usesysid, 'usage')
    `
    await inTransaction(admin, async () => {
      await admin.unsafe(`
        set local statement_timeout = ${RENAME_LIMIT_MS};
        alter database ${quoteIdentifier(kept)} rename to ${quoteIdentifier(database)}
      `)
      await setHidden(admin, database, null)
      await takeBackUsage(admin, owner, kept)
    })
  }
  await endHold(admin, database)
  forget(parts, owner)
}

/**
 * Drops what a move has made on the target. May be repeated.
 * @param admin session in its administrative database that holds the lock of the name
 */
export async function dropCopy(parts: DeployParts, admin: Sql, owner: Owner): Promise<void> {
  const database = databaseName(owner)
  const entry = await readEntry(admin, owner)
  if (entry && isSameOwner(entry, owner)) {
    await inTransaction(admin, async () => {
      await beginCreation(admin, database, true)
      await admin`delete from _db_gateway_databases where database = ${database}`
      await deleteHistory(admin, database)
    })
    parts.catalog.forget(owner)
  }
  const isOurs =
    (await findUnfinished(admin, database)) === 'import' || (await isAnnounced(admin, database))
  if (!isOurs) return
  const isStill = await isLeft(parts, admin, database)
  if (isStill && (await findUnfinished(admin, database)) !== undefined)
    throw new Error(`${database}, which a move has left half made, cannot be dropped`)
  await forgetCreation(admin, database)
}

/**
 * Ends a move on the source, after its cutover: calls that still come are told where the tenant is.
 * May be repeated.
 * @param admin session in its administrative database
 */
export async function leaveSource(
  parts: DeployParts,
  admin: Sql,
  owner: Owner,
  { kept, to }: { kept: string; to: string },
): Promise<void> {
  // Where it is done already, the tenant may have been made here anew since.
  if ((await readMoved(admin, owner))?.kept !== kept) {
    await inTransaction(admin, async () => {
      await noteMoved(admin, owner, { movedTo: to, kept })
      await deleteHistory(admin, databaseName(owner))
      await takeBackUsage(admin, owner, kept)
    })
  }
  forget(parts, owner)
}

function forget(parts: DeployParts, owner: Owner): void {
  const database = databaseName(owner)
  parts.catalog.forget(owner)
  parts.forgetFunctions(database)
  parts.catchUp(database)
}
