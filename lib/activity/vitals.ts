import type { Sql } from '../postgres/pools/connection.ts'

/** Vital signs of a PostgreSQL server; null is what the gateway's role may not see. */
export interface Vitals {
  version: string | null
  uptime_s: number | null
  /** Sessions of clients, and how many there may be. */
  connections: number | null
  max_connections: number | null
  /** Sessions that wait for a lock. */
  waiting_for_locks: number | null
  /** Age of the oldest open transaction; null without one. */
  oldest_transaction_s: number | null
  /** Sums of all databases since `stats_since`. */
  deadlocks: number | null
  temp_bytes: number | null
  transactions: number | null
  rollbacks: number | null
  /** Part of the blocks that were in PostgreSQL's memory, from 0 to 1. */
  cache_hit_ratio: number | null
  stats_since: string | null
  wal_bytes: number | null
  checkpoints: { timed: number; requested: number } | null
  replication_slots: Slot[] | null
  standbys: Standby[] | null
  /** Transactions until ids have to be frozen are two billion less this. */
  transaction_id_age: number | null
  autovacuum_workers: number | null
  /** Why each null is null, where the reason is not that there is nothing. */
  why: Record<string, string>
}

interface Slot {
  name: string
  active: boolean
  /** Bytes of WAL that the slot keeps. */
  retained_bytes: number | null
}

/** A standby as the primary sees it. */
interface Standby {
  application: string | null
  state: string | null
  lag_s: number | null
}

/** First version in which checkpoints are counted by pg_stat_checkpointer. */
const CHECKPOINTER = 170_000

/** Reads the vital signs of the server. What cannot be read is null, with the reason in `why`. */
export async function readVitals(sql: Sql): Promise<Vitals> {
  const why: Record<string, string> = {}
  const read = async <K extends keyof Vitals>(names: K[], text: string) => {
    try {
      const [row] = await sql.unsafe<{ row: Pick<Vitals, K> }[]>(
        `select to_json(r) as row from (${text}) as r`,
      )
      return row!.row
    } catch (error) {
      for (const name of names) why[name] = (error as Error).message
      return Object.fromEntries(names.map((name) => [name, null])) as Pick<Vitals, K>
    }
  }
  const server: Partial<Vitals> & { number?: number } = await read(
    ['version', 'uptime_s', 'max_connections'],
    SERVER,
  )
  const { number = 0, ...shown } = server
  const checkpoints = number >= CHECKPOINTER ? CHECKPOINTER_SQL : BGWRITER_SQL
  const parts = await Promise.all([
    read(
      ['connections', 'waiting_for_locks', 'oldest_transaction_s', 'autovacuum_workers'],
      SESSIONS,
    ),
    read(
      ['deadlocks', 'temp_bytes', 'transactions', 'rollbacks', 'cache_hit_ratio', 'stats_since'],
      SUMS,
    ),
    read(['wal_bytes'], 'select wal_bytes::bigint from pg_stat_wal'),
    read(['checkpoints'], checkpoints),
    read(['replication_slots'], SLOTS),
    read(['standbys'], STANDBYS),
  ])
  return Object.assign({}, shown, ...parts, { why })
}

const SERVER = `
  select current_setting('server_version') as version,
    current_setting('server_version_num')::integer as number,
    round(extract(epoch from clock_timestamp() - pg_postmaster_start_time())) as uptime_s,
    current_setting('max_connections')::integer as max_connections,
    (select max(age(datfrozenxid)) from pg_database) as transaction_id_age`

const SESSIONS = `
  select count(*) filter (where backend_type = 'client backend') as connections,
    count(*) filter (where wait_event_type = 'Lock') as waiting_for_locks,
    round(extract(epoch from clock_timestamp() - min(xact_start)
      filter (where backend_type = 'client backend' and pid <> pg_backend_pid())), 3) as oldest_transaction_s,
    count(*) filter (where backend_type = 'autovacuum worker') as autovacuum_workers
  from pg_stat_activity`

const SUMS = `
  select sum(deadlocks)::bigint as deadlocks, sum(temp_bytes)::bigint as temp_bytes,
    sum(xact_commit)::bigint as transactions, sum(xact_rollback)::bigint as rollbacks,
    round(sum(blks_hit) / nullif(sum(blks_hit) + sum(blks_read), 0), 4) as cache_hit_ratio,
    min(stats_reset) as stats_since
  from pg_stat_database`

const CHECKPOINTER_SQL = `
  select json_build_object('timed', num_timed, 'requested', num_requested) as checkpoints
  from pg_stat_checkpointer`

const BGWRITER_SQL = `
  select json_build_object('timed', checkpoints_timed, 'requested', checkpoints_req) as checkpoints
  from pg_stat_bgwriter`

const SLOTS = `
  select coalesce(json_agg(json_build_object(
    'name', slot_name, 'active', active,
    'retained_bytes', case when not pg_is_in_recovery() then
      pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint end
  ) order by slot_name), '[]') as replication_slots
  from pg_replication_slots`

const STANDBYS = `
  select coalesce(json_agg(json_build_object(
    'application', nullif(application_name, ''), 'state', state,
    'lag_s', round(extract(epoch from replay_lag), 3)
  ) order by application_name, pid), '[]') as standbys
  from pg_stat_replication`
