import type { Sql } from '../../../postgres/pools/connection.ts'
import { followedLock } from '../../../tenancy/database-lock.ts'
import { databaseName } from '../../../tenancy/names.ts'
import { asGateway } from '../../database/handover.ts'
import { untilNobody } from '../../move/sessions.ts'
import { copyAnswers } from '../answers.ts'
import type { Fitting } from '../begin.ts'
import { checkMovable } from '../check.ts'
import { copyContents } from '../copy.ts'
import type { Begun, MoveRequest, Sessions } from '../request.ts'
import type { MoveServers } from '../servers.ts'
import { readSettings, writeSettings } from '../settings.ts'
import { checkCopy } from './code.ts'
import { checkDefinitions } from './definitions.ts'
import { copySequences, endStream, goOn, refreshViews } from './finish.ts'
import { checkDrained, follow, untilConfirmed } from './follow.ts'
import { type Published, publish, subscribe, unlinkSource, unlinkTarget } from './link.ts'
import { checkLedger, type Locked, lockDeploys } from './locked.ts'
import { checkReplicable } from './possible.ts'
import { checkTables } from './rewritten.ts'
import { shield, withoutTimeouts } from './settings.ts'
import { makeSlot } from './slot.ts'
import { tryUntilQuiet } from './tries.ts'

/** A copy that follows its source. */
export interface Following {
  /** What keeps deploys off, until nobody uses the source. */
  locked: Locked
  /** What its ledger had when the copy began. */
  ledger: string
  published: Published
  /** Whether the replication goes on, and what keeps others off is held. */
  isOpen: boolean
  /** Session in the copy. */
  copy: Sql
}

/**
 * Makes the copy and has it follow the source, while calls go on; then runs `work`, again where it finds
 * the source in use.
 * @throws {GatewayError} tenant_busy; move_refused; the errors of `work`; the signal's reason
 */
export async function whileFollowed(
  servers: MoveServers,
  { admin, there }: Sessions,
  { role, tools }: Fitting,
  request: MoveRequest,
  { id, database }: Begun,
  signal: AbortSignal,
  work: (following: Following) => Promise<void>,
): Promise<void> {
  const { source, target } = servers
  const { owner, onStep } = request
  await Promise.all([withoutTimeouts(admin), withoutTimeouts(there)])
  await keepOthersOff(admin, database)
  let locked = await lockDeploys(source, owner)
  try {
    onStep('copying')
    const published = await publish(source, database, id)
    await shield(admin, database)
    await shield(there, database)
    await makeSlot(source, admin, { id, owner }, signal, (transactions) =>
      onStep('waiting', { transactions }),
    )
    const schema = { owner, kept: database, role, tools, signal, isSchema: true }
    await copyContents(servers, there, schema)
    await asGateway(target, database, async (copy) => {
      await withoutTimeouts(copy)
      await checkCopy(copy, owner)
      await subscribe(copy, source.server, { id, owner, database })
      const untilNear = follow({
        ...{ admin, there: copy, id, owner, signal },
        onProgress: (followed) => onStep('following', followed),
        findCause: () =>
          asGateway(source, database, (from) => checkTables(from, owner, published.tables)),
      })
      await untilNear()
      const following = { locked, ledger: locked.ledger, published, isOpen: true, copy }
      const again = async () => {
        if (!following.isOpen) {
          await keepOthersOff(admin, database)
          locked = await lockDeploys(source, owner)
          following.locked = locked
          await goOn(copy, id)
          following.isOpen = true
        }
        await untilNear()
      }
      await tryUntilQuiet(admin, database, request, signal, () => work(following), again)
    })
  } finally {
    await locked.release()
  }
}

/** Has others be told that the database is being moved, rather than wait. */
async function keepOthersOff(admin: Sql, database: string): Promise<void> {
  await admin`select pg_advisory_lock(${followedLock(admin, database)})`
}

/**
 * Waits, while calls are held, until nobody uses the source and the copy has everything; then ends the
 * replication, so that the source can get its other name.
 * @throws {InUse} if that takes longer than `withinMs`
 */
export async function catchUp(
  { admin }: Sessions,
  entry: Parameters<typeof untilNobody>[1],
  { id, owner, database }: Begun,
  following: Following,
  withinMs: number,
  signal: AbortSignal,
): Promise<void> {
  const { locked, copy } = following
  const endsAt = performance.now() + withinMs
  await untilNobody(admin, entry, withinMs, locked.pid)
  await untilConfirmed(admin, { id, owner, database }, endsAt, signal)
  following.isOpen = false
  await admin`select pg_advisory_unlock(${followedLock(admin, database)})`
  await locked.release()
  await endStream(admin, copy, id)
}

/** Does what replication does not, when the source has its other name; and removes what was made for it. */
export async function finishCopy(
  { source, target }: MoveServers,
  { admin, there }: Sessions,
  { id, owner, kept }: Begun,
  { role }: Fitting,
  { ledger, published, copy }: Following,
): Promise<void> {
  const database = databaseName(owner)
  await asGateway(source, kept, async (from) => {
    await checkDrained(from, { id, database })
    await checkLedger(from, owner, ledger)
    await checkTables(from, owner, published.tables)
    await checkDefinitions(from, owner, published.definitions)
    await checkMovable(from, owner, role, target.config.baseTemplate)
    await checkReplicable(from, owner)
    await copySequences(from, copy, owner)
    await copyAnswers(from, copy)
  })
  await refreshViews(source, owner, kept, copy)
  await unlinkTarget(target, there, database, id)
  // Not before: it may have a connection limit.
  await writeSettings(there, database, await readSettings(admin, kept, role))
  await unlinkSource(source, admin, [kept], id)
}
