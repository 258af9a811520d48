import type { Sql } from '../postgres/pools/connection.ts'
import { withoutValues } from './without-values.ts'

/** A session of PostgreSQL. Null is what the gateway's role may not see, or what does not apply. */
export interface SessionActivity {
  pid: number
  database: string
  /**
   * Platform of the database; of one that is not in the catalog, such as one that is being made, that of
   * the session's role or of its owner. Null if none of them belongs to a platform.
   */
  platform: string | null
  /** Tenant of the database; null if the catalog has none. */
  tenant_id: string | null
  user: string | null
  application: string | null
  state: string | null
  wait_event_type: string | null
  wait_event: string | null
  /** Seconds for which it has been in its state. */
  since_s: number | null
  /** Seconds for which its transaction has been open; null without one. */
  transaction_s: number | null
  /** Sessions that hold, or wait before it for, the lock that it waits for. */
  blocked_by: number[]
  /** Statement without values; null for sessions that are not of a gateway. */
  query: string | null
  /** Whether a gateway on this catalog has opened it. */
  is_gateway: boolean
}

/** Length of `gw_`, with which the roles of platforms begin. */
const PREFIX_LENGTH = 3

/** Length of a statement that is read, and of one that is shown without its values. */
const READ_LENGTH = 2000
const SHOWN_LENGTH = 300

/**
 * Reads the sessions of all databases, those that wait and work first. Only for those that wait for
 * a lock PostgreSQL is asked who holds it, because that locks the lock table.
 * @param application application_name of the gateways
 * @param catalog id of their catalog
 */
export async function readSessions(
  sql: Sql,
  application: string,
  catalog: string,
): Promise<SessionActivity[]> {
  const rows = await sql<{ row: SessionActivity }[]>`
    select json_build_object(
      'pid', a.pid, 'database', a.datname, 'platform', of.platform, 'tenant_id', c.tenant_id,
      'user', a.usename, 'application', nullif(a.application_name, ''), 'state', a.state,
      'wait_event_type', a.wait_event_type, 'wait_event', a.wait_event,
      'since_s', round(extract(epoch from clock_timestamp() - a.state_change), 3),
      'transaction_s', round(extract(epoch from clock_timestamp() - a.xact_start), 3),
      'blocked_by', case when a.wait_event_type = 'Lock' then to_json(pg_blocking_pids(a.pid)) else '[]' end,
      'query', case when own.is_own then left(a.query, ${READ_LENGTH}::integer) end,
      'is_gateway', own.is_own
    ) as row
    from pg_stat_activity a
    left join _db_gateway_databases c on c.database = a.datname
    left join _db_gateway_templates t on t.database = a.datname
    left join lateral (
      select coalesce(
        (select platform from _db_gateway_databases where owner_role = r.rolname limit 1),
        -- A platform's first deploy has its role before its row. A name of 63 bytes may be a hash.
        case when octet_length(r.rolname) < 63 then substr(r.rolname, ${PREFIX_LENGTH}::integer + 1) end
      ) as platform, r.oid = a.usesysid as is_session
      from pg_roles r
      where c.database is null and t.database is null
        and (r.oid = a.usesysid or r.oid = (select datdba from pg_database where oid = a.datid))
        and shobj_description(r.oid, 'pg_authid') like ${`%, catalog ${catalog}`}
      order by is_session desc
      limit 1
    ) as role on true
    cross join lateral (select coalesce(c.platform, t.platform, role.platform) as platform) as of
    cross join lateral (
      select coalesce(
        -- That which holds a lock has more in its name (see lib/deploy/database/with-lock.ts).
        (a.application_name = ${application} or starts_with(a.application_name, ${`${application} `}))
          and (a.usename = current_user or a.usename = c.owner_role or role.is_session or (
            t.database is not null and exists (
              select from pg_roles r where r.oid = a.usesysid
                and shobj_description(r.oid, 'pg_authid') like ${`%, catalog ${catalog}`}
            )
          ))
          and (of.platform is not null or role.is_session or a.datname = current_database()),
        false
      ) as is_own
    ) as own
    where a.backend_type = 'client backend' and a.datname is not null and a.pid <> pg_backend_pid()
    order by a.wait_event_type = 'Lock' desc nulls last,
      a.state = 'active' desc nulls last, a.xact_start, a.pid
  `
  return rows.map(({ row }) => ({
    ...row,
    query: row.query === null ? null : withoutValues(row.query).slice(0, SHOWN_LENGTH),
  }))
}
