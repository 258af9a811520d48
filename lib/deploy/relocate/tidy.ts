import { extendHold } from '../../tenancy/catalog/tenant-hold.ts'
import type { Owner } from '../../tenancy/names.ts'
import { withDatabaseLock } from '../database/with-lock.ts'
import type { DeployParts } from '../parts.ts'
import type { How } from './how.ts'
import { giveUp, type MovePhase, removeMove } from './moves-table.ts'
import { unlinkSource, unlinkTarget } from './replicate/link.ts'
import type { EndingServers } from './servers.ts'
import { dropCopy, leaveSource, restoreSource } from './undo.ts'

/** A move that is to be ended. */
export interface Ending {
  id: string
  owner: Owner
  database: string
  how: How
  kept: string
}

/**
 * Ends a move that has failed or whose gateway is gone: undoes it, unless it is past its cutover; then
 * what is left of it is done. The source needs nothing of the target for it. May be repeated, and goes
 * on where it failed. The caller has the lock of the move.
 * @returns whether the tenant has been moved
 * @throws errors of PostgreSQL: the move is ended later
 */
export async function endMove(
  servers: EndingServers,
  { id, owner, database, how, kept }: Ending,
): Promise<boolean> {
  const { source, target, main, to, placements } = servers
  const phase: MovePhase | undefined = await main.catalog.use((sql) => giveUp(sql, id))
  if (phase === undefined) return false
  const isMoved = phase === 'moved'
  // Calls wait until it has ended, where a gateway that was killed no longer holds them.
  await source.catalog.use((sql) => extendHold(sql, database))
  await withDatabaseLock(source, database, async (admin) => {
    if (isMoved) return leaveSource(source, admin, owner, { kept, to })
    await restoreSource(source, admin, owner, kept)
    // Slots keep the log of the server, whatever becomes of the target.
    if (how === 'replicate') await unlinkSource(source, admin, [database, kept], id)
  })
  if (isMoved) await placements.look(database)
  else await dropCopyOn(target(), { id, owner, database, how })
  await main.catalog.use((sql) => removeMove(sql, id))
  return isMoved
}

function dropCopyOn(
  target: DeployParts,
  { id, owner, database, how }: Omit<Ending, 'kept'>,
): Promise<void> {
  return withDatabaseLock(target, database, async (admin) => {
    if (how === 'replicate') await unlinkTarget(target, admin, database, id)
    await dropCopy(target, admin, owner)
  })
}
