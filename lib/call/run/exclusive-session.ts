import { GatewayError } from '../../errors.ts'
import { endsConnection, fromPostgres } from '../../postgres/errors.ts'
import { isWorthAnotherConnection, untilAnother } from '../../postgres/hosts/again.ts'
import type { Connection } from '../../postgres/pools/connection.ts'
import type { Pools } from '../../postgres/pools/pools.ts'
import type { Session } from '../../postgres/session/session.ts'
import { countTime } from '../../usage/counters.ts'
import type { Timing } from './attempt.ts'
import { CallLimits } from './call-limits.ts'
import { lostCall } from './failures.ts'
import { markAsked, markLeased } from './marks.ts'
import { enterMode } from './mode.ts'
import type { Progress } from './send-call.ts'
import { sessionOf } from './session-of.ts'
import type { Asked } from './time-limit.ts'

/** A session that runs one piece of work of several statements, and nothing else meanwhile. */
export interface ExclusiveSession {
  database: string
  connection: Connection
  session: Session
  limits: CallLimits
  /**
   * Queries of the work. The work adds each before it is sent, so that it is known what may have
   * run.
   */
  sent: Pick<Progress, 'mayHaveBegun'>[]
  /** True: all that the work sends only reads. Set by the work. */
  onlyReads: boolean
  /**
   * True: the work is in a transaction that is not committed, so a lost connection rolls it back.
   * Set by the work.
   */
  isUncommitted: boolean
  /** True: a rollback undoes everything that the work does. */
  mayRepeat: boolean
}

/**
 * Runs a piece of work in an exclusive session and returns the session to the pool in any case.
 * Cancels the work when its time is up or its client has disconnected. If the connection is lost,
 * runs the work once more on another connection, provided that it certainly did not begin, only
 * reads, or was rolled back by a deploy.
 * @throws {GatewayError} pool_exhausted, connection_failed, and the errors of the work
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

/** State of work whose connection was lost. */
interface Fate {
  mayHaveRun?: boolean
  isRolledBack?: boolean
  /** True: the work may run again. */
  isSafe: boolean
}

/** The connection of the work was lost or could not be opened. */
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
    await enterMode(connection, session, 'exclusive', asked.restrictions)?.settled
    limits.check()
    const result = await work(exclusive)
    lease.release()
    return { ...result, waitMs: leasedAt - askedAt, queryMs: performance.now() - leasedAt }
  } catch (error) {
    lease.release(error)
    throw failureOf(error, asked, exclusive)
  } finally {
    limits.end()
    countTime(asked.held, performance.now() - leasedAt)
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
