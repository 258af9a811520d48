import { GatewayError } from '../../errors.ts'
import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { BeingMoved } from '../../tenancy/catalog/moved-away.ts'
import type { TimeLimit } from './time-limit.ts'

/** Key of the lock that lets one deploy at a time into a database. */
const DEPLOY_LOCK = "pg_catalog.hashtext('_db_gateway_deploy')"

/** Key of the lock that a move has beside that of the deploy. */
const MOVE_LOCK = "pg_catalog.hashtext('_db_gateway_move')"

const TRY_LOCK = `pg_catalog.pg_try_advisory_lock(${DEPLOY_LOCK})`

/** SQL expression that keeps deploys off a database that is being moved; false if one runs. */
export const LOCK_FOR_MOVE = `${TRY_LOCK} and pg_catalog.pg_try_advisory_lock(${MOVE_LOCK})`

/** SQL expression that gives the lock of `tryDeployLock` back. */
export const UNLOCK_DEPLOY = `pg_catalog.pg_advisory_unlock(${DEPLOY_LOCK})`

/**
 * Statement that takes the deploy's lock again, in case a file has released all locks of its
 * session. Fails if another deploy has taken the lock in the meantime.
 */
export const LOCK_AGAIN = `
  do $lock$
  begin
    if not ${TRY_LOCK} then
      raise object_not_in_prerequisite_state using
        message = 'the file released the lock of the deploy, and another deploy has taken it',
        hint = 'Remove pg_advisory_unlock_all(), and release the file''s own locks by their keys';
    end if;
  end $lock$;
`

/**
 * Statements that lift settings of the server, the database or the role: timeouts that end a session,
 * the first of which came with PostgreSQL 17; an isolation level in which a check does not see rows that
 * were committed after the transaction had begun; and strings that the parser reads in another way.
 */
export const STANDARD_SESSION = `
    set default_transaction_isolation = 'read committed';
    set standard_conforming_strings = on;
    select pg_catalog.set_config(s.name, '0', false)
    from (values ('transaction_timeout'), ('idle_in_transaction_session_timeout')) s (name)
    where pg_catalog.current_setting(s.name, true) is not null;
`

/** Interval between attempts to get a lock that another deploy holds, in milliseconds. */
const POLL_MS = 50

/** Attempts after which it is looked again who holds the lock. */
const POLLS_PER_LOOK = 20

/** A session that holds the lock of a deploy. */
interface Holder {
  pid: number
  role: string | null
  application: string | null
  /** Beginning of its transaction, or else of its state; ISO 8601. */
  since: string | null
}

/** Settings of a deploy's session at the start of each file. */
export interface DeploySession {
  /** lock_timeout of each statement, in milliseconds. */
  lockTimeoutMs: number
  /**
   * Whether PostgreSQL checks that the gateway is still connected while a statement runs
   * (client_connection_check_interval); not all operating systems support it.
   */
  checksClient: boolean
}

/**
 * Prepares a connection for a deploy and takes the lock that lets one deploy at a time into the
 * database, from any gateway. Settings and lock last as long as the connection. Names are qualified
 * with pg_catalog, since functions of the platform with the same names could make this wait
 * forever.
 * @param begin begins the transaction and reads; sent in the same round trip as the lock request,
 *   and again if the lock was not free
 * @throws {GatewayError} query_timeout while waiting for the lock; tenant_busy if a move has it
 */
export async function openDeploySession<T>(
  sql: Sql,
  lockTimeoutMs: number,
  limit: TimeLimit,
  begin: () => Promise<T>,
): Promise<{ session: DeploySession; begun: T }> {
  // If the gateway dies, PostgreSQL ends the deploy instead of holding the lock until the statement
  // is done.
  const checking = send(sql.unsafe("set client_connection_check_interval = '2s'")).then(
    () => true,
    () => false,
  )
  const opening = [
    send(
      sql.unsafe(
        `set statement_timeout = 0; ${STANDARD_SESSION} set lock_timeout = ${lockTimeoutMs}`,
      ),
    ),
    tryDeployLock(sql),
  ] as const
  const beginning = begin()
  const [[, isLocked], checksClient, begun] = await Promise.all([
    Promise.all(opening),
    checking,
    beginning,
  ])
  const session = { lockTimeoutMs, checksClient }
  if (isLocked) return { session, begun }
  await sql.unsafe('rollback')
  // Polls, because a session that waits for the lock inside PostgreSQL holds a snapshot. A CREATE
  // INDEX CONCURRENTLY of the running deploy would wait for that snapshot: a deadlock.
  let holders: Holder[] = []
  let polls = 0
  do {
    // Not when the time is up: what is asked then is cancelled.
    if (polls++ % POLLS_PER_LOOK === 0) holders = await readHolders(sql)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    if (limit.isOver) throw stillDeployed(holders, limit)
    await checkNotFollowed(sql)
  } while (!(await tryDeployLock(sql)))
  return { session, begun: await begin() }
}

async function checkNotFollowed(sql: Sql): Promise<void> {
  const [row] = await sql.unsafe<{ database: string; is_moving: boolean }[]>(`
    select pg_catalog.current_database() as database, exists (
      select from pg_catalog.pg_locks l
      where l.locktype = 'advisory' and l.granted and l.objsubid = 1
        and l.database = (
          select d.oid from pg_catalog.pg_database d
          where d.datname = pg_catalog.current_database()
        )
        and l.objid::pg_catalog.int8 = ${MOVE_LOCK}::pg_catalog.int8 & 4294967295
    ) as is_moving
  `)
  const { database, is_moving: isMoving } = row!
  if (isMoving) throw new BeingMoved(database, database)
}

/** Returns the sessions that deploy to the database. */
async function readHolders(sql: Sql): Promise<Holder[]> {
  return sql.unsafe<Holder[]>(`
    select a.pid, a.usename::pg_catalog.text as role,
      nullif(a.application_name, '') as application,
      pg_catalog.to_json(coalesce(a.xact_start, a.state_change, a.backend_start)) as since
    from pg_catalog.pg_locks l
    join pg_catalog.pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'advisory' and l.granted and l.objsubid = 1
      and l.database = (
        select d.oid from pg_catalog.pg_database d
        where d.datname = pg_catalog.current_database()
      )
      and l.objid::pg_catalog.int8 = ${DEPLOY_LOCK}::pg_catalog.int8 & 4294967295
  `)
}

/** Returns the error of a deploy that has waited for another one for too long. */
function stillDeployed(sessions: Holder[], limit: TimeLimit): GatewayError {
  return new GatewayError(
    'query_timeout',
    `Another deploy to ${limit.database} has not ended within ${limit.seconds} s (DEPLOY_TIMEOUT_SECS)`,
    {
      database: limit.database,
      sessions,
      hint: 'Send the request again when it has ended, or end its session with pg_terminate_backend(pid)',
    },
  )
}

/**
 * Takes the lock that lets one deploy at a time into the database; returns whether it was free. The
 * query is sent immediately, so it can be pipelined.
 */
export async function tryDeployLock(sql: Sql): Promise<boolean> {
  const [row] = await send(sql.unsafe<{ locked: boolean }[]>(`select ${TRY_LOCK} as locked`))
  return row!.locked
}

/** Deallocates what a file has prepared: another file may prepare a statement of the same name. */
const DEALLOCATE = `
  do $free$
  declare
    one pg_catalog.text;
  begin
    for one in
      select p.name from pg_catalog.pg_prepared_statements p
      where p.from_sql and not pg_catalog.starts_with(p.name, '_db_gateway_')
    loop
      execute pg_catalog.format('deallocate %I', one);
    end loop;
  end $free$;
`

/**
 * Returns statements that reset the session after a file: settings, role, search path, cursors, prepared
 * statements, temporary objects. DISCARD ALL is no alternative: it cannot run in a transaction and would
 * release the deploy's lock. Must be sent as one simple query.
 */
export function resetFor({ lockTimeoutMs, checksClient }: DeploySession): string {
  return `
    set session authorization default;
    reset role;
    ${LOCK_AGAIN}
    reset all;
    set statement_timeout = 0;
    ${STANDARD_SESSION}
    set lock_timeout = ${lockTimeoutMs};
    ${checksClient ? "set client_connection_check_interval = '2s';" : ''}
    close all;
    ${DEALLOCATE}
    discard temp;
    discard sequences;
  `
}

/**
 * Statement that fails if a file made the transaction read-only, which cannot be undone; the error
 * would otherwise name the next file.
 */
const CHECK_WRITABLE = `
  do $check$
  begin
    if pg_catalog.current_setting('transaction_read_only') operator(pg_catalog.=) 'on' then
      raise read_only_sql_transaction using
        message = 'the file leaves the transaction read-only',
        hint = 'Remove SET TRANSACTION (or transaction_read_only): the whole deploy is one transaction';
    end if;
  end $check$;
`

/**
 * Statements that check all deferred constraints, as a commit of the file itself would; constraints
 * declared INITIALLY DEFERRED are deferred again afterwards, except where another constraint of the
 * schema has the same name, which SET CONSTRAINTS would mean as well. Must be sent as one simple query.
 */
export const CHECK_CONSTRAINTS = `
  ${CHECK_WRITABLE}
  set constraints all immediate;
  do $check$
  declare
    names pg_catalog.text;
  begin
    select pg_catalog.string_agg(pg_catalog.format('%I.%I', n.nspname, c.conname), ', ')
    into names
    from pg_catalog.pg_constraint c
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.connamespace
    where c.condeferred and not exists (
      select from pg_catalog.pg_constraint o
      where o.connamespace operator(pg_catalog.=) c.connamespace
        and o.conname operator(pg_catalog.=) c.conname and not o.condeferred
    );
    if names is not null then
      execute pg_catalog.format('set constraints %s deferred', names);
    end if;
  end $check$;
`
