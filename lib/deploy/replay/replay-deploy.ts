import type { UseSession } from '../../call/signatures/learn.ts'
import type { Connection } from '../../postgres/pools/connection.ts'
import { describeOwner } from '../../tenancy/catalog/catalog.ts'
import { databaseName } from '../../tenancy/names.ts'
import { orderOf } from '../database/in-order.ts'
import { DEPLOY_WAIT_MS, isHandedOver } from '../database/role-lease.ts'
import { requestFields, resultFields } from '../log-fields.ts'
import { olderOf } from '../older/older.ts'
import { record } from '../older/record.ts'
import type { DeployParts } from '../parts.ts'
import type { DeployRequest } from '../request.ts'
import type { DeployResult } from '../result.ts'
import { tryToLearn } from '../run/learn-functions.ts'
import { collectWarnings } from '../run/notices.ts'
import { TimeLimit } from '../run/time-limit.ts'
import { mayReplay } from './known-replays.ts'
import { replay } from './replay.ts'
import { scopeOf } from './scope.ts'
import { notesOf } from './sessions.ts'

/**
 * Deploys an archive by repeating what a deploy of it did to a database in the same state, and records
 * the deploy. Must run in the queue of the database.
 * @returns undefined if that cannot be done; the database is as before then
 */
export async function deployByReplay(
  parts: DeployParts,
  request: DeployRequest,
): Promise<DeployResult | undefined> {
  const { owner, archive, origin } = request
  const started = performance.now()
  const scope = scopeOf(request)
  if (scope === undefined || !mayReplay(scope) || !isHandedOver(parts, owner)) return undefined
  const result = await onSession(parts, request, scope)
  if (!result) return undefined
  const database = databaseName(owner)
  const executionTimeMs = Math.round(performance.now() - started)
  const about = { owner, archiveChecksum: archive.checksum, origin, isNew: false, executionTimeMs }
  const recorded = parts.deployments.record({ ...about, result })
  parts.catchUp(database)
  const use: UseSession = (work) => parts.pools.use(database, work)
  result.functions = await tryToLearn(parts, use, database, result)
  await recorded
  await record(parts, request, result)
  parts.log.info(`Deploy: ${describeOwner(owner)}`, {
    ...resultFields(result),
    replayed: true,
    ...requestFields(request, executionTimeMs),
  })
  return result
}

async function onSession(
  parts: DeployParts,
  { owner, archive, older, origin, onOpen }: DeployRequest,
  scope: string,
): Promise<DeployResult | undefined> {
  const database = databaseName(owner)
  const how = older === 'whole' ? 'deploy' : older
  const { standingTo } = olderOf(parts.platformCatalog, origin, owner, archive.checksum, how)
  const heard = collectWarnings()
  try {
    const lease = await parts.pools.lease(database, { waitMs: DEPLOY_WAIT_MS })
    const { connection } = lease
    try {
      connection.onNotice = heard.hear
      const ledgerKeys = parts.secrets.all().map((secret) => secret.ledgerKeyOf(database))
      const limit = new TimeLimit(connection, parts.config.deployTimeoutMs)
      const { checksum } = archive
      const notes = notesOf(connection)
      const about = {
        scope,
        checksum,
        notes,
        order: orderOf(parts),
        ledgerKeys,
        origin,
        standingTo,
        onOpen,
      }
      const result = await limit.over(() => replay(lease.sql, about))
      if (result) closeOthers(parts, connection)
      if (notes.isOutdated) await lease.discard()
      else lease.release()
      return result && { ...result, warnings: [...result.warnings, ...heard.told()] }
    } catch (error) {
      // Its transaction and the lock of the deploy end with the session.
      await lease.discard()
      throw error
    } finally {
      connection.onNotice = undefined
    }
  } catch {
    // The deploy that follows tells what is wrong with the database or the connection.
    return undefined
  }
}

/**
 * Closes the sessions of the database but this one, which keeps its caches for the next deploy: it
 * has run no statement whose plan the deploy makes wrong, and was reset.
 */
function closeOthers(parts: DeployParts, connection: Connection): void {
  const { isSpent } = connection
  parts.forgetFunctions(connection.database)
  connection.isSpent = isSpent
}
