import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../../errors.ts'
import { CLOSE_GATE, IS_PRESENCE, KEEP_GATE_CLOSED } from '../../postgres/pools/call-sessions.ts'
import type { Sql } from '../../postgres/pools/connection.ts'

/** Between two looks at the sessions that are left. */
const LOOK_EVERY_MS = 20

/** Telling the gateways takes no longer, or nobody is told. */
const TELL_WITHIN_MS = 1000

/** The other gateways hear of it in that time once they are told: a call that is cut then runs again by itself. */
const TELLING_MS = 100

/** Gateways close their idle sessions by themselves in that time, but for one that does not hear. */
const IDLE_GRACE_MS = 300

/** Calls that run get so long to end; a call that comes meanwhile waits for as long. */
const PATIENCE_MS = 2000

/** A session that was ended is gone by then, or nothing will have it go. */
const GIVE_UP_MS = 7000

const LOCK_NOT_AVAILABLE = '55P03'

/**
 * To be called in the transaction of a deploy, right before it commits. Ends all sessions for calls of
 * the database, on all gateways, and keeps new ones from being opened until the transaction ends: a
 * plan that has a constant of a composite type outlives a change of the type. `tell` has the gateways
 * close their sessions. A call that waits for this very transaction is cut at once, any other after
 * 2 s.
 * @throws {GatewayError} pool_exhausted, as a lock timeout, where a session does not end
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
 * The same on a replica, where the change comes when it is replayed: until the session of `sql` ends.
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
 * Ends the sessions that cannot end by themselves, since they wait for the deploy, and those whose
 * time is up.
 * @returns how many there were
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
    `${sessions} sessions of calls did not end: the deploy changes types, which they must not outlive`,
    { database, sqlstate: LOCK_NOT_AVAILABLE },
  )
}
