import { GatewayError } from '../../errors.ts'
import { endsConnection, fromPostgres } from '../../postgres/errors.ts'
import { isWorthAnotherConnection, untilAnother } from '../../postgres/hosts/again.ts'
import type { Connection } from '../../postgres/pools/connection.ts'
import type { Pools } from '../../postgres/pools/pools.ts'
import type { Session } from '../../postgres/session/session.ts'
import type { Timing } from './attempt.ts'
import { CallLimits } from './call-limits.ts'
import { lostCall } from './failures.ts'
import { markAsked, markLeased } from './marks.ts'
import { enterMode } from './mode.ts'
import type { Progress } from './send-call.ts'
import { sessionOf } from './session-of.ts'
import type { Asked } from './time-limit.ts'

/** A session that does one piece of work of several statements, and nothing else meanwhile. */
export interface ExclusiveSession {
  database: string
  connection: Connection
  session: Session
  limits: CallLimits
  /** What may have run: queries that the work adds, before they are sent. */
  sent: Pick<Progress, 'mayHaveBegun'>[]
  /** The work says so where all that it sends changes nothing. */
  onlyReads: boolean
  /** The work says so while it is in a transaction: without its commit, nothing of it is left. */
  isUncommitted: boolean
  /** All that it does is rolled back with its transaction. */
  mayRepeat: boolean
}

/**
 * Does a piece of work in a session of its own, which is given back whatever happens. It is cancelled
 * when its time is up or its client has gone away. Where the connection is lost, it is done once more
 * on another if it certainly did not begin or only reads.
 * @throws {GatewayError} pool_exhausted, connection_failed, and what the errors of the work become
 */
export async function inExclusiveSession<T>(
  pools: Pools,
  asked: Asked,
  work: (exclusive: ExclusiveSession) => Promise<T>,
): Promise<T & Timing> {
  try {
    return await once(pools, asked, work, false)
  } catch (error) {
    if (!(error instanceof LostWork)) throw error
    if (!error.mayRunAgain) throw error.told
    await untilAnother(error.cause)
  }
  try {
    return await once(pools, asked, work, true)
  } catch (error) {
    throw error instanceof LostWork ? error.told : error
  }
}

/** What became of work whose connection was lost. */
interface Fate {
  mayHaveRun?: boolean
  isRolledBack?: boolean
  /** It may run again. */
  isSafe: boolean
}

/** Work whose connection was lost, or could not be opened. */
class LostWork extends Error {
  readonly mayRunAgain: boolean
  readonly told: unknown

  constructor(cause: unknown, { database }: Asked, fate: Fate) {
    super('The connection was lost', { cause })
    const { mayHaveRun = false, isRolledBack = false, isSafe } = fate
    this.mayRunAgain = isSafe && isWorthAnotherConnection(cause)
    this.told = lostCall(cause, database, mayHaveRun, isRolledBack)
  }
}

async function once<T>(
  pools: Pools,
  asked: Asked,
  work: (exclusive: ExclusiveSession) => Promise<T>,
  fresh: boolean,
): Promise<T & Timing> {
  const { client, database, limit } = asked
  const askedAt = markAsked(client)
  const lease = await pools.leaseSession(database, { client, fresh, deadline: limit?.deadline })
  const { connection } = lease
  const session = await sessionOf(lease, asked)
  if ('kind' in session) {
    const { kind, error } = session
    throw kind === 'refused' ? error : new LostWork(error, asked, { isSafe: !client.isGone })
  }
  const limits = new CallLimits(asked, connection)
  const leasedAt = markLeased(client)
  const exclusive: ExclusiveSession = {
    database,
    connection,
    session,
    limits,
    sent: [],
    onlyReads: false,
    isUncommitted: false,
    mayRepeat: false,
  }
  try {
    await enterMode(connection, session, 'exclusive')?.settled
    limits.check()
    const result = await work(exclusive)
    lease.release()
    return { ...result, waitMs: leasedAt - askedAt, queryMs: performance.now() - leasedAt }
  } catch (error) {
    lease.release(error)
    throw failureOf(error, asked, exclusive)
  } finally {
    limits.end()
  }
}

function failureOf(error: unknown, asked: Asked, exclusive: ExclusiveSession): unknown {
  const { limits, sent, onlyReads, isUncommitted, mayRepeat, connection } = exclusive
  const explained = limits.explain(error, isUncommitted ? 'uncommitted' : 'anything')
  if (explained instanceof GatewayError || !endsConnection(error)) {
    return fromPostgres(explained, asked.database)
  }
  const hasBegun = sent.some(({ mayHaveBegun }) => mayHaveBegun)
  const isRetired = isUncommitted && mayRepeat && connection.isRetired
  return new LostWork(error, asked, {
    mayHaveRun: hasBegun && !isUncommitted,
    isRolledBack: hasBegun && isUncommitted,
    isSafe: (!hasBegun || onlyReads || isRetired) && !limits.isOver,
  })
}
