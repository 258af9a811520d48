import { TOOL } from '../postgres/hosts/server.ts'
import { IS_PRESENCE_ANYWHERE } from '../postgres/pools/call-sessions.ts'
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

/**
 * Seconds after the last death in which all sessions of the catalog's databases count. In them PostgreSQL ends the
 * sessions of a process that was killed.
 */
const COUNT_ALL_SECONDS = 3

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

/** What is known of the gateways that are dead. */
interface Dead {
  /** When the last of them died; null: none is dead. */
  died_at: string | null
  /** Connections that they could have open. */
  most: number
  /** Whether all others have told their sessions since. */
  is_told: boolean
}

/**
 * Returns how many connections dead gateways may still have: PostgreSQL goes on with a statement whose client
 * has gone. These are the sessions that they had told with their last heartbeat, and those of this catalog's
 * databases that began since, before the last of them died, and that are a gateway's; none of them one that a
 * gateway alive has told. Those of pg_dump and pg_restore end with their gateway, and do not count. Ends those that
 * were told by a gateway whose heartbeat is old, and forgets the dead when no session is left.
 * @param self id of this gateway, which has these sessions
 */
export async function readLeft(sql: Sql, self: string, own: Iterable<number>): Promise<LeftByDead> {
  const { died_at: diedAt, most, is_told } = await readDead(sql, self)
  if (diedAt === null) return { isAny: false, connections: 0 }
  if (!is_told) return { isAny: true, connections: most }
  const left = await readSessions(sql, self, own, diedAt)
  if (left.length === 0) {
    await sql`delete from _db_gateway_gateways where died_at is not null`
    return { isAny: false, connections: 0 }
  }
  const over = left.filter((one) => one.may_end).map(({ pid }) => pid)
  if (over.length > 0)
    await sql`select pg_terminate_backend(pid) from unnest(${`{${over.join(',')}}`}::integer[]) pid`
  return { isAny: true, connections: Math.min(most, left.length) }
}

async function readDead(sql: Sql, self: string): Promise<Dead> {
  const [dead] = await sql<Dead[]>`
    select died_at::text, most, not exists (
        select from _db_gateway_gateways l
        where l.died_at is null and l.id <> ${self} and (l.sessions_at < d.died_at) is not false
      ) as is_told
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

/** A session that a dead gateway has left. */
interface Left {
  pid: number
  /** Whether the gateway has said nothing for so long that it has none of its sessions any more. */
  may_end: boolean
}

/**
 * Returns the sessions that dead gateways have left. A function may have given its session another name, but not
 * taken the presence lock from it. What nobody has told is counted and not ended: it may be of a gateway that starts.
 */
function readSessions(
  sql: Sql,
  self: string,
  own: Iterable<number>,
  diedAt: string,
): Promise<Left[]> {
  // The catalog, which may be large, is looked at for those alone that nobody has told; by its index, whose
  // collation is none of a name.
  return sql<Left[]>`
    with untold as materialized (
      select a.pid, a.datid, a.datname::text collate "default" as datname, a.usename, a.application_name, a.usesysid, (
          -- The process of an earlier session may be another one's now.
          select bool_or(
            g.last_heartbeat_at < clock_timestamp() - make_interval(secs => ${DEAD_AFTER_SECONDS}::float8)
          )
          from _db_gateway_gateways g
          where g.died_at is not null and a.pid = any (g.sessions)
            and coalesce(a.backend_start < g.sessions_at, true)
        ) as is_over
      from pg_stat_activity a
      where coalesce(a.backend_type, 'client backend') = 'client backend'
        and coalesce(a.backend_start < ${diedAt}::text::timestamptz, true)
        and a.pid <> all (${`{${[...own].join(',')}}`}::integer[])
        and not exists (
          select from _db_gateway_gateways l
          where l.died_at is null and l.id <> ${self} and a.pid = any (l.sessions)
        )
    )
    select a.pid, a.is_over is true and pg_has_role(a.usesysid, 'usage') as may_end
    from untold a
    where a.is_over is not null
      or a.application_name is distinct from current_setting('application_name') || ${TOOL}
        and (
          starts_with(a.application_name, current_setting('application_name'))
          or clock_timestamp() < ${diedAt}::text::timestamptz
            + make_interval(secs => ${COUNT_ALL_SECONDS}::float8)
          or exists (
            select from pg_locks p
            where p.pid = a.pid and p.database = a.datid and ${sql.unsafe(IS_PRESENCE_ANYWHERE)}
          )
        )
        and (
          a.datname = current_database() and a.usename = current_user
          or exists (
            select from _db_gateway_databases d
            where d.database = a.datname and a.usename in (d.owner_role, current_user)
          )
          or (a.datname, a.usename) in (
            select d.hidden_as, unnest(array[d.owner_role, current_user])
            from _db_gateway_databases d where d.hidden_as is not null
          )
        )
  `
}
