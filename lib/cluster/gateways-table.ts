import { hostname } from 'node:os'
import { LOCK_CLASS } from '../postgres/pools/call-sessions.ts'
import type { Sql } from '../postgres/pools/connection.ts'

/** A row of the table of gateways. Times are ISO 8601, by PostgreSQL's clock. */
export interface Row {
  id: string
  host: string
  pid: number
  started_at: string
  last_heartbeat_at: string
  cap: number
  share: number
  /** Id, parent's process and number of a worker's service; null for a process alone. */
  service: string | null
  parent: number | null
  worker: number | null
}

/**
 * Returns SQL: whether a session holds the advisory lock whose key is the given expression. Key 0
 * of the class is the lock of the table; all others belong to sessions.
 */
export const isHeld = (lock: string) => `exists (
    select from pg_locks l
    where l.locktype = 'advisory' and l.classid = ${LOCK_CLASS}::bigint::oid
      and l.database = (select oid from pg_database where datname = current_database())
      and l.objid = ${lock}::oid and l.objsubid = 2 and l.granted
  )`

/**
 * Returns SQL: whether the gateway with the given id, an expression, is alive: its listening
 * session holds its lock.
 */
export const isAlive = (id: string) => `exists (
    select from _db_gateway_gateways g where g.id = ${id} and ${isHeld('g.lock')}
  )`

/**
 * Creates the table if it does not exist, and takes the session's advisory lock for the life of the
 * session.
 */
export async function prepareTable(sql: Sql, lock: number): Promise<void> {
  await sql.unsafe(`
    begin;
    select pg_advisory_xact_lock(${LOCK_CLASS}, 0);
    create unlogged table if not exists _db_gateway_gateways (
      id uuid primary key,
      lock integer not null,
      host text not null,
      pid integer not null,
      started_at timestamptz not null,
      last_heartbeat_at timestamptz not null,
      cap integer not null,
      share integer not null
    );
    alter table _db_gateway_gateways
      add column if not exists service uuid,
      add column if not exists parent integer,
      add column if not exists worker integer,
      -- since when the others take it for dead; they wait until PostgreSQL has ended its sessions
      add column if not exists died_at timestamptz,
      -- its sessions by their processes, and when it told them
      add column if not exists sessions integer[],
      add column if not exists sessions_at timestamptz;
    commit;
    select pg_advisory_lock(${LOCK_CLASS}, ${lock});
  `)
}

/**
 * Begins a transaction that holds the lock of the table: one gateway at a time divides the
 * connections.
 */
export async function beginTurn(sql: Sql): Promise<void> {
  await sql.unsafe(`
    begin;
    set local synchronous_commit = off;
    set local idle_in_transaction_session_timeout = '3s';
    select pg_advisory_xact_lock(${LOCK_CLASS}, 0);
  `)
}

interface NewRow extends Pick<Row, 'id' | 'cap' | 'share'> {
  lock: number
  service: { id: string; parent: number; worker: number } | undefined
  /** Its sessions by their processes; undefined behind a pooler, where PostgreSQL has others. */
  sessions: Iterable<number> | undefined
}

/**
 * Writes this gateway's row.
 * @returns true if the row is new
 */
export async function writeRow(
  sql: Sql,
  { id, lock, cap, share, service, sessions }: NewRow,
): Promise<boolean> {
  const told = sessions ? `{${[...sessions].join(',')}}` : null
  const [row] = await sql<{ is_new: boolean }[]>`
    insert into _db_gateway_gateways as g
      (id, lock, host, pid, started_at, last_heartbeat_at, cap, share, service, parent, worker,
        sessions, sessions_at)
    values (
      ${id}, ${lock}, ${hostname()}, ${process.pid},
      clock_timestamp() - make_interval(secs => ${process.uptime()}::float8),
      clock_timestamp(), ${cap}, ${share},
      ${service?.id ?? null}, ${service?.parent ?? null}, ${service?.worker ?? null},
      ${told}::integer[], case when ${told}::text is not null then clock_timestamp() end
    )
    on conflict (id) do update set
      lock = excluded.lock,
      last_heartbeat_at = excluded.last_heartbeat_at,
      cap = excluded.cap,
      share = excluded.share,
      sessions = excluded.sessions,
      sessions_at = excluded.sessions_at
    returning xmax = 0 as is_new
  `
  return row!.is_new
}

/** Returns the gateways that are alive, the oldest first, without the gateway `but`. */
export async function readRows(sql: Sql, but: string | null = null): Promise<Row[]> {
  return sql<Row[]>`
    select
      id, host, pid, cap, share, service, parent, worker,
      to_json(started_at) #>> '{}' as started_at,
      to_json(last_heartbeat_at) #>> '{}' as last_heartbeat_at
    from _db_gateway_gateways
    where id is distinct from ${but} and died_at is null
    order by _db_gateway_gateways.started_at, id
  `
}
