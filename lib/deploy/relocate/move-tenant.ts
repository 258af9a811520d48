import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { databaseLock } from '../../tenancy/database-lock.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import { describeOwner, ownerFields } from '../../tenancy/owner-identity.ts'
import { withDatabaseLock } from '../database/with-lock.ts'
import { checkServers, checkSource, checkTarget } from './begin.ts'
import type { Plan } from './how.ts'
import { readMove, removeMove } from './moves-table.ts'
import type { Begun, MoveRequest } from './request.ts'
import { runMove } from './run-move.ts'
import { type MoveServers, moveLock } from './servers.ts'
import { endMove } from './tidy.ts'

/** A move that was made. */
export interface Moved extends Plan {
  /** Size of the source, in bytes. */
  bytes: number
  /** Milliseconds for which calls were held. */
  heldMs: number
  /** Name that the former database has on the source. */
  kept: string
}

/**
 * Moves an owner's database to another server: with pg_dump and pg_restore, while its calls are held, or by
 * logical replication, where they are held when the copy has hardly anything to catch up with. The source
 * has another name from the beginning of a dump, or when the copy has all of it, so that nothing is written
 * to it any more; a call that comes late waits, as at a rename. The cutover is one transaction in the catalog of `main`:
 * until then everything is undone if anything fails, or if the gateway is killed (`Moves`); from then
 * on the tenant is on the other server.
 * @param signal ends the move, if it is not past its cutover
 * @throws {GatewayError} database_not_found; tenant_busy; name_conflict; move_refused;
 *   dump_not_available; pool_exhausted; the signal's reason
 */
export async function moveTenant(
  servers: MoveServers,
  request: MoveRequest,
  plan: Plan,
  signal: AbortSignal,
): Promise<Moved> {
  const { source, target, main, from, to } = servers
  const { owner, gone, onStep } = request
  const database = databaseName(owner)
  onStep('preparing')
  const fitting = await checkServers(servers, owner)
  return withMoveLock(servers, owner, async (home) => {
    let begun: Begun | undefined
    let heldMs = 0
    const work = async (admin: Sql, there: Sql) => {
      await checkTarget(servers, there, owner)
      const entry = await checkSource(servers, admin, there, owner, fitting.role)
      await runMove(
        servers,
        { home, admin, there },
        entry,
        fitting,
        request,
        plan,
        signal,
        (it) => {
          begun = it
        },
      )
    }
    try {
      const waiting = AbortSignal.any([signal, gone])
      const onTarget = (admin: Sql) =>
        withDatabaseLock(target, database, (there) => work(admin, there), waiting)
      const working = () => withDatabaseLock(source, database, onTarget, waiting)
      // Deploys are told that it is moved rather than that they have waited for too long.
      if (plan.how === 'replicate') await working()
      else await source.queue.run(database, working)
      heldMs = performance.now() - begun!.heldAt
      await main.catalog.use((sql) => removeMove(sql, begun!.id))
    } catch (error) {
      if (!begun) throw error
      heldMs = performance.now() - begun.heldAt
      if (!(await ended(servers, begun))) throw error
    }
    target.catalog.forget(owner)
    target.forgetFunctions(database)
    target.catchUp(database)
    onStep('moved')
    const { bytes, kept } = begun!
    const moved = { ...plan, bytes, heldMs: Math.round(heldMs), kept }
    source.log.info(`${describeOwner(owner)} was moved from the server ${from} to ${to}`, {
      ...ownerFields(owner),
      database,
      how: plan.how,
      bytes,
      held_ms: moved.heldMs,
    })
    return moved
  })
}

/** Ends a move that has failed. Returns whether the tenant has been moved; false if it is not known. */
async function ended(servers: MoveServers, begun: Begun): Promise<boolean> {
  try {
    return await endMove({ ...servers, target: () => servers.target }, begun)
  } catch (error) {
    servers.main.log.warn(`The move of ${begun.database} is ended later`, {
      database: begun.database,
      cause: (error as Error).message,
    })
    return false
  }
}

/** Runs `work` with the lock of the database's move. */
async function withMoveLock<T>(
  servers: MoveServers,
  owner: Owner,
  work: (home: Sql) => Promise<T>,
): Promise<T> {
  const { main } = servers
  const database = databaseName(owner)
  const lease = await main.pools.lease(main.server.database)
  try {
    const home = lease.sql
    await home`select set_config('statement_timeout', '0', false),
      set_config('idle_session_timeout', '0', false)`
    const [lock] = await home<{ is_free: boolean }[]>`
      select pg_try_advisory_lock(${databaseLock(home, moveLock(database))}) as is_free
    `
    if (!lock!.is_free || (await readMove(home, database))) {
      const message = `${describeOwner(owner)} is being moved already`
      throw new GatewayError('tenant_busy', message, { database })
    }
    return await work(home)
  } finally {
    await lease.discard()
  }
}
