import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../../errors.ts'
import { CLOSE_GATE, IS_PRESENCE, KEEP_GATE_CLOSED } from '../../postgres/pools/call-sessions.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { LOCK_NOT_AVAILABLE } from '../../postgres/sqlstates.ts'

/** Interval between two looks at the sessions that are left, in milliseconds. */
const LOOK_EVERY_MS = 20

/**
 * Longest wait for the notification of the gateways, in milliseconds; after that the deploy goes on
 * without it.
 */
const TELL_WITHIN_MS = 1000

/**
 * Time in which a notified gateway reacts, in milliseconds. A call that is cut after that is run
 * again by its gateway.
 */
const TELLING_MS = 100

/**
 * Time in which gateways close their idle sessions themselves, in milliseconds; only one that was
 * not notified has idle sessions left.
 */
const IDLE_GRACE_MS = 300

/** Time that running calls get to end, in milliseconds; a new call waits as long. */
const PATIENCE_MS = 2000

/** Time after which a session that was terminated counts as stuck, in milliseconds. */
const GIVE_UP_MS = 7000

/**
 * Ends all call sessions of the database, on all gateways, and keeps new ones from being opened
 * until the transaction ends. A cached plan with a constant of a composite type would outlive a
 * change of the type. A call that waits for a lock of this transaction is terminated at once, any
 * other after 2 s.
 * Must be called in the transaction of a deploy, right before it commits.
 * @param tell notifies the gateways, which close their sessions
 * @throws {GatewayError} pool_exhausted, retried like a lock timeout, if a session does not end
 */
export async function retireSessions(
  sql: Sql,
  database: string,
  tell: () => Promise<void>,
): Promise<void> {
  await sql.unsafe(CLOSE_GATE)
  await Promise.race([tell(), sleep(TELL_WITHIN_MS, undefined, { ref: false })])
  await untilNoneIsLeft(sql, database)
}

/**
 * Does the same on a replica, which gets the change when it replays the commit. New sessions are
 * kept out until the session of `sql` ends.
 * @throws {GatewayError} as `retireSessions`
 */
export async function retireOnReplica(sql: Sql, database: string): Promise<void> {
  await sql.unsafe(KEEP_GATE_CLOSED)
  await untilNoneIsLeft(sql, database)
}

async function untilNoneIsLeft(sql: Sql, database: string): Promise<void> {
  const began = performance.now()
  for (;;) {
    const elapsed = performance.now() - began
    const rest = await endSessions(sql, elapsed)
    if (rest === 0) return
    if (elapsed > GIVE_UP_MS) throw stuck(database, rest)
    await sleep(LOOK_EVERY_MS)
  }
}

/**
 * Terminates the sessions that cannot end by themselves, since they wait for the deploy, and those
 * whose time is up.
 * @returns the number of sessions found, before the terminated ones are gone
 */
async function endSessions(sql: Sql, elapsed: number): Promise<number> {
  const heard = elapsed > TELLING_MS
  const idle = elapsed > IDLE_GRACE_MS
  const all = elapsed > PATIENCE_MS
  const [row] = await sql.unsafe<{ rest: number }[]>(`
    select count(*)::int as rest, count(
      case when (
        ${all}
        or (${idle} and a.state = 'idle')
        or ${heard} and pg_catalog.pg_backend_pid() = any(pg_catalog.pg_blocking_pids(l.pid))
      ) and pg_catalog.pg_has_role(a.usesysid, 'usage')
      then pg_catalog.pg_terminate_backend(l.pid) end
    ) as ended
    from pg_catalog.pg_locks l
    left join pg_catalog.pg_stat_activity a on a.pid = l.pid
    where ${IS_PRESENCE}
  `)
  return row!.rest
}

function stuck(database: string, sessions: number): GatewayError {
  return new GatewayError(
    'pool_exhausted',
    `The deploy changes types that call sessions may have cached: ${sessions} of these sessions did not end within ${GIVE_UP_MS / 1000} s`,
    { database, sqlstate: LOCK_NOT_AVAILABLE },
  )
}
