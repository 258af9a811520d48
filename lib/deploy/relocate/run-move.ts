import { randomBytes, randomUUID } from 'node:crypto'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import { inTransaction } from '../../postgres/transaction.ts'
import type { NamedEntry } from '../../tenancy/catalog/catalog-table.ts'
import { announceImport, beginCreation, withdrawImport } from '../../tenancy/catalog/creations.ts'
import { setHidden } from '../../tenancy/catalog/moved-away.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import { createDatabase } from '../database/database.ts'
import { whileHeld } from '../move/hold.ts'
import { isInUse, patienceMs } from '../move/patience.ts'
import { stillInUse, untilNobody } from '../move/sessions.ts'
import { giveTo } from '../transfer/fill.ts'
import type { Fitting } from './begin.ts'
import { type Contents, checkSame, readContents } from './compare.ts'
import { copyContents } from './copy.ts'
import type { Plan } from './how.ts'
import { addMove, giveUp, isToStop, setMoved } from './moves-table.ts'
import { catchUp, type Following, finishCopy, whileFollowed } from './replicate/run.ts'
import { tryMs } from './replicate/tries.ts'
import type { Begun, MoveRequest, Sessions } from './request.ts'
import { copyCatalogRows } from './rows.ts'
import type { MoveServers } from './servers.ts'
import { readSettings } from './settings.ts'
import { checkSize, estimateMs, stopped, tooLong } from './size.ts'
import { leaveSource, restoreSource } from './undo.ts'

const LOOK_EVERY_MS = 300

/** Size up to which the rows of a replicated database are counted while calls wait, in bytes. */
const MAX_COUNTED = 100e6

/** Prefix of the names of databases that are, or were, moved. */
const KEPT = '_db_gateway_moved_'

/** What ends a move before its cutover. */
interface Ends {
  signal: AbortSignal
  stop: AbortController
}

/**
 * Records that the move begins, and makes it. The locks of both names are held. If it fails, calls go
 * on as soon as they can; the rest is the caller's to end.
 * @param onBegun called when there is something to end
 */
export async function runMove(
  servers: MoveServers,
  sessions: Sessions,
  entry: NamedEntry,
  fitting: Fitting,
  request: MoveRequest,
  plan: Plan,
  stopping: AbortSignal,
  onBegun: (begun: Begun) => void,
): Promise<void> {
  const { main, from, to } = servers
  const { home, admin } = sessions
  const { owner } = request
  const { database } = entry
  const bytes = await checkSize(admin, entry, request, plan)
  const id = randomUUID()
  const kept = `${KEPT}${randomBytes(8).toString('hex')}`
  const { how } = plan
  const begun: Begun = { id, owner, database, how, kept, bytes, heldAt: 0 }
  await addMove(home, owner, { id, from, to, how, kept })
  onBegun(begun)
  const stop = new AbortController()
  const looking = setInterval(() => {
    const look = main.catalog.use((sql) => isToStop(sql, id))
    look.then((isAsked) => isAsked && stop.abort(stopped(owner))).catch(() => {})
  }, LOOK_EVERY_MS)
  try {
    const ends = { stop, signal: AbortSignal.any([stopping, stop.signal]) }
    await makeTarget(servers, sessions.there, owner, fitting.role)
    const held = (following?: Following) =>
      moveHeld(servers, sessions, entry, fitting, request, begun, ends, following)
    if (how === 'dump') await held()
    else await whileFollowed(servers, sessions, fitting, request, begun, ends.signal, held)
  } finally {
    clearInterval(looking)
  }
}

/** Copies, or completes a copy that has followed, and switches while calls are held. */
async function moveHeld(
  servers: MoveServers,
  sessions: Sessions,
  entry: NamedEntry,
  fitting: Fitting,
  request: MoveRequest,
  begun: Begun,
  ends: Ends,
  following?: Following,
): Promise<void> {
  const { source, to } = servers
  const { admin, home } = sessions
  const { owner, isHeld } = request
  const { kept } = begun
  ends.signal.throwIfAborted()
  const withinMs = following ? tryMs(source, request) : patienceMs(source, isHeld)
  const retryAfterS = isHeld
    ? Math.ceil((withinMs + estimateMs(following ? 0 : begun.bytes)) / 1000)
    : null
  request.onStep('holding')
  begun.heldAt = performance.now()
  const onLimit = () => ends.stop.abort(tooLong(entry, begun.bytes, request))
  const limit = isHeld ? undefined : setTimeout(onLimit, request.maxWaitMs)
  try {
    await whileHeld(source, admin, entry, { operation: 'move', retryAfterS }, async () => {
      let isSent = false
      let isSwitched = false
      try {
        if (following) await catchUp(sessions, entry, begun, following, withinMs, ends.signal)
        await hideSource(servers, admin, entry, kept, withinMs, ends.signal)
        await copyAll(servers, sessions, fitting, request, begun, ends.signal, following)
        isSent = true
        await switchOver(servers, home, begun, ends.signal)
        isSwitched = true
        await leaveSource(source, admin, owner, { kept, to })
      } catch (error) {
        // Before the cutover nothing of main is needed: nobody else can make it.
        if (!isSent) await restoreSource(source, admin, owner, kept).catch(() => {})
        else if (!isSwitched) await giveBack(servers, admin, begun).catch(() => {})
        throw error
      }
    })
  } finally {
    clearTimeout(limit)
  }
}

/** Makes the empty database on the target, before calls are held. */
async function makeTarget(
  { target }: MoveServers,
  there: Sql,
  owner: Owner,
  role: string,
): Promise<void> {
  const database = databaseName(owner)
  await target.roles.ensure(there, owner.platform)
  await announceImport(there, database)
  await createDatabase(there, database, target.config).catch(async (error) => {
    await withdrawImport(there, database).catch(() => {})
    throw error
  })
  await beginCreation(there, database, true)
  await giveTo(there, database, role)
  target.catalog.note({ database, platform: owner.platform, role })
}

/** Gives the source its other name, when it has no session any more. */
async function hideSource(
  { source }: MoveServers,
  admin: Sql,
  entry: NamedEntry,
  kept: string,
  withinMs: number,
  signal: AbortSignal,
): Promise<void> {
  const { database, platform, role } = entry
  await unlessEnded(signal, untilNobody(admin, entry, withinMs))
  try {
    // PostgreSQL itself waits up to 5 s for sessions that were opened just now.
    await inTransaction(admin, async () => {
      await admin.unsafe(`
        set local statement_timeout = ${withinMs};
        alter database ${quoteIdentifier(database)} rename to ${quoteIdentifier(kept)}
      `)
      await setHidden(admin, database, kept)
    })
  } catch (error) {
    if (!isInUse(error)) throw error
    throw await stillInUse(admin, entry, withinMs, error)
  }
  source.forgetFunctions(database)
  source.catchUp(database)
  source.catalog.note({ database: kept, platform, role })
}

/** Waits for `work`, unless the signal ends the wait. */
async function unlessEnded(signal: AbortSignal, work: Promise<void>): Promise<void> {
  let onAbort = () => {}
  const ended = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
  })
  work.catch(() => {})
  await Promise.race([work, ended]).finally(() => signal.removeEventListener('abort', onAbort))
  signal.throwIfAborted()
}

/** Copies the contents and what the catalog has, or what replication has left of it, and compares. */
async function copyAll(
  servers: MoveServers,
  sessions: Sessions,
  fitting: Fitting,
  { owner, onStep, maxWaitMs }: MoveRequest,
  begun: Begun,
  signal: AbortSignal,
  following: Following | undefined,
): Promise<void> {
  const { source, target } = servers
  const { admin, there } = sessions
  const { role, tools, isSameVersion } = fitting
  const { kept, bytes } = begun
  const hasRows = !following || bytes <= MAX_COUNTED
  let reading: Promise<Contents>
  if (following) {
    await finishCopy(servers, sessions, begun, fitting, following)
    reading = readContents(source, kept, hasRows)
  } else {
    onStep('copying')
    const settings = await readSettings(admin, kept, role)
    reading = readContents(source, kept)
    reading.catch(() => {})
    await copyContents(servers, there, { owner, kept, role, tools, signal }, settings)
  }
  onStep('comparing')
  const [copied] = await Promise.all([readContents(target, databaseName(owner), hasRows), reading])
  checkSame(await reading, copied, isSameVersion)
  await inTransaction(there, () => copyCatalogRows(admin, there, owner, role, maxWaitMs))
  signal.throwIfAborted()
}

/**
 * The cutover: one transaction in the catalog of `main`.
 * @throws {GatewayError} tenant_busy if the move is given up; an error of PostgreSQL leaves either
 */
async function switchOver(
  { placements, to }: MoveServers,
  home: Sql,
  { id, owner, database }: Begun,
  signal: AbortSignal,
): Promise<void> {
  await inTransaction(home, async () => {
    if (await setMoved(home, id)) return placements.write(home, owner, to)
    signal.throwIfAborted()
    throw stopped(owner)
  })
  await placements.look(database).catch(() => {})
}

/** Gives the source its name back at once, if the move is not past its cutover. */
async function giveBack(
  { source, main }: MoveServers,
  admin: Sql,
  { id, owner, kept }: Begun,
): Promise<void> {
  const phase = await main.catalog.use((sql) => giveUp(sql, id))
  if (phase === 'undoing') await restoreSource(source, admin, owner, kept)
}
