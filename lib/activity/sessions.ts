import type { Sql } from '../postgres/pools/connection.ts'
import { withoutValues } from './without-values.ts'

/** A session of PostgreSQL. Null is what the gateway's role may not see, or what does not apply. */
export interface SessionActivity {
  pid: number
  database: string
  /** Platform and tenant of the database; null if it is not in the catalog. */
  platform: string | null
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

/** Length of a statement that is read, and of one that is shown without its values. */
const READ_LENGTH = 2000
const SHOWN_LENGTH = 300

/**
 * Reads the sessions of all databases, those that wait and work first. Only for those that wait for
 * a lock PostgreSQL is asked who holds it, because that locks the lock table.
 * @param application application_name of the gateways
 */
export async function readSessions(sql: Sql, application: string): Promise<SessionActivity[]> {
  const rows = await sql<{ row: SessionActivity }[]>`
    select json_build_object(
      'pid', a.pid, 'database', a.datname, 'platform', c.platform, 'tenant_id', c.tenant_id,
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
    cross join lateral (
      select coalesce(
        a.application_name = ${application}
          and (a.usename = current_user or a.usename = c.owner_role)
          and (c.database is not null or a.datname = current_database()),
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
