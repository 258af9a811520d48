import { TOOL } from '../postgres/hosts/server.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { isHeld } from './gateways-table.ts'

/**
 * Age of a heartbeat, by PostgreSQL's clock, after which a gateway counts as dead. A gateway whose
 * session ends counts as dead at once.
 */
const DEAD_AFTER_SECONDS = 20

/**
 * Seconds after which nothing is kept for the sessions of a dead gateway. PostgreSQL ends those of a process
 * that was killed within 2 s, and those of a machine that has failed within 92 s (see
 * lib/postgres/pools/session-parameters.ts), but for one that was sending: its data are sent again for 16
 * minutes.
 */
const FORGET_AFTER_SECONDS = 1000

/** What dead gateways have left. */
export interface LeftByDead {
  /** Whether there are dead gateways whose sessions PostgreSQL may still have. */
  isAny: boolean
  /** Connections that they have at most. */
  connections: number
}

/**
 * Marks other gateways as dead, and forgets those of which nothing is left: workers of a service that lives,
 * whose parent counts their sessions, and those that died long ago.
 * @param countsLeft false: forgets all of them
 * @returns the number of those that have died since the last look of any gateway
 */
export async function markDead(sql: Sql, self: string, countsLeft: boolean): Promise<number> {
  const { count } = await sql`
    update _db_gateway_gateways set died_at = clock_timestamp()
    where id <> ${self} and died_at is null and (
      last_heartbeat_at < clock_timestamp() - make_interval(secs => ${DEAD_AFTER_SECONDS}::float8)
      or not ${sql.unsafe(isHeld('lock'))}
    )
  `
  // Its own row, where others have taken it for dead, is written anew.
  await sql`
    delete from _db_gateway_gateways g
    where died_at is not null and (
      id = ${self} or not ${countsLeft}::boolean
      or died_at < clock_timestamp() - make_interval(secs => ${FORGET_AFTER_SECONDS}::float8)
      or exists (
        select from _db_gateway_gateways l where l.service = g.service and l.died_at is null
      )
    )
  `
  return count
}

/** Seconds after its death after which the sessions of a gateway are ended by the others. */
const END_AFTER_SECONDS = 2

/** What is known of the gateways that are dead. */
interface Dead {
  /** When the last of them died; null: none is dead. */
  died_at: string | null
  /** Connections that they could have open. */
  most: number
  /** Whether all others have told their sessions since; and since their sessions may be ended. */
  is_told: boolean
  is_told_late: boolean
}

/**
 * Returns how many connections dead gateways may still have: PostgreSQL goes on with a statement whose client
 * has gone. These are the sessions of this catalog's databases that began before the last of them died, and
 * that no gateway alive has told to be its own; but for those of pg_dump and pg_restore, which end with their
 * gateway. Ends them after a while, and forgets the dead when none is left.
 * @param self id of this gateway, which has these sessions
 */
export async function readLeft(sql: Sql, self: string, own: Iterable<number>): Promise<LeftByDead> {
  const { died_at: diedAt, most, is_told, is_told_late } = await readDead(sql, self)
  if (diedAt === null) return { isAny: false, connections: 0 }
  if (!is_told) return { isAny: true, connections: most }
  const left = await sql<{ pid: number; is_named: boolean }[]>`
    select a.pid,
      coalesce(starts_with(a.application_name, current_setting('application_name')), false)
        and pg_has_role(a.usesysid, 'usage') as is_named
    from pg_stat_activity a
    where coalesce(a.backend_type, 'client backend') = 'client backend'
      and coalesce(a.backend_start < ${diedAt}::text::timestamptz, true)
      and (
        a.datname = current_database() and a.usename = current_user
          and starts_with(a.application_name, current_setting('application_name'))
        or exists (
          select from _db_gateway_databases d
          where a.datname in (d.database, d.hidden_as) and a.usename in (d.owner_role, current_user)
        )
      )
      and a.application_name is distinct from current_setting('application_name') || ${TOOL}
      and a.pid <> all (${`{${[...own].join(',')}}`}::integer[])
      and not exists (
        select from _db_gateway_gateways l
        where l.died_at is null and l.id <> ${self} and a.pid = any (l.sessions)
      )
  `
  if (left.length > 0) {
    // Somebody's psql, as the role of a platform, is not ended.
    const named = is_told_late ? left.filter((one) => one.is_named).map(({ pid }) => pid) : []
    if (named.length > 0)
      await sql`select pg_terminate_backend(pid) from unnest(${`{${named.join(',')}}`}::integer[]) pid`
    return { isAny: true, connections: Math.min(most, left.length) }
  }
  await sql`delete from _db_gateway_gateways where died_at is not null`
  return { isAny: false, connections: 0 }
}

async function readDead(sql: Sql, self: string): Promise<Dead> {
  const toldBy = (seconds: number) => sql`not exists (
    select from _db_gateway_gateways l
    where l.died_at is null and l.id <> ${self}
      and (l.sessions_at < d.died_at + make_interval(secs => ${seconds}::float8)) is not false
  )`
  const [dead] = await sql<Dead[]>`
    select died_at::text, most, ${toldBy(0)} as is_told,
      ${toldBy(END_AFTER_SECONDS / 2)}
        and died_at < clock_timestamp() - make_interval(secs => ${END_AFTER_SECONDS}::float8)
        as is_told_late
    from (
      select max(died_at) as died_at, coalesce(sum(most), 0)::integer as most
      from (
        select max(died_at) as died_at, max(share) as most
        from _db_gateway_gateways where died_at is not null
        group by coalesce(service, id)
      ) as services
    ) as d
  `
  return dead!
}
