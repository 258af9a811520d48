import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { TimeLimit } from './time-limit.ts'

const TRY_LOCK = "pg_catalog.pg_try_advisory_lock(pg_catalog.hashtext('_db_gateway_deploy'))"

/**
 * A statement that takes the deploy's lock again, since a file may have given up all that its session
 * has. Where another deploy has it by then, the file is at fault.
 */
export const LOCK_AGAIN = `
  do $lock$
  begin
    if not ${TRY_LOCK} then
      raise object_not_in_prerequisite_state using
        message = 'the file gives up the lock of the deploy, and another deploy has taken it',
        hint = 'Take pg_advisory_unlock_all() out, and unlock what the file has locked by its key';
    end if;
  end $lock$;
`

/** Between two looks at a lock that another gateway holds. */
const POLL_MS = 50

/** What a deploy's session is like at the start of each file. */
export interface DeploySession {
  /** How long a statement waits for a lock, in milliseconds. */
  lockTimeoutMs: number
  /** PostgreSQL looks whether the gateway is still there while it works. Not every platform can. */
  checksClient: boolean
}

/**
 * Makes a connection fit for a deploy and takes the lock that lets one deploy at a time into the
 * database, whatever gateway it comes from. Both last as long as the connection. The platform may
 * have functions of the same names, which would have this wait for ever. `begin` begins a
 * transaction and reads; it is sent right behind the question for the lock, and again where that is
 * not to be had yet.
 */
export async function openDeploySession<T>(
  sql: Sql,
  lockTimeoutMs: number,
  limit: TimeLimit,
  begin: () => Promise<T>,
): Promise<{ session: DeploySession; begun: T }> {
  // Where the gateway dies, its deploy ends too instead of holding the lock until its statement
  // is through.
  const checking = send(sql.unsafe("set client_connection_check_interval = '2s'")).then(
    () => true,
    () => false,
  )
  const opening = [
    send(sql.unsafe(`set statement_timeout = 0; set lock_timeout = ${lockTimeoutMs}`)),
    tryLock(sql),
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
  // Looking again and again, since a session that waits inside PostgreSQL has a snapshot, and a
  // `create index concurrently` of the deploy that it waits for would wait for that in turn.
  do {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    limit.check()
  } while (!(await tryLock(sql)))
  return { session, begun: await begin() }
}

async function tryLock(sql: Sql): Promise<boolean> {
  const [row] = await send(
    sql.unsafe<{ locked: boolean }[]>(`
      select ${TRY_LOCK} as locked
    `),
  )
  return row!.locked
}

/**
 * Statements that make the session what it was when the deploy began, whatever a file has left in
 * it: settings, role, search path, cursors, temporary objects. (`discard all` cannot be run in a
 * transaction, and would release the deploy's lock.) To be sent as one simple query.
 */
export function resetFor({ lockTimeoutMs, checksClient }: DeploySession): string {
  return `
    set session authorization default;
    reset role;
    ${LOCK_AGAIN}
    reset all;
    set statement_timeout = 0;
    set lock_timeout = ${lockTimeoutMs};
    ${checksClient ? "set client_connection_check_interval = '2s';" : ''}
    close all;
    discard temp;
    discard sequences;
  `
}

/**
 * A statement that fails where a file has left the transaction read-only, which nothing takes back:
 * the next file would be blamed for it.
 */
const CHECK_WRITABLE = `
  do $check$
  begin
    if pg_catalog.current_setting('transaction_read_only') operator(pg_catalog.=) 'on' then
      raise read_only_sql_transaction using
        message = 'the file leaves the transaction read-only',
        hint = 'Take SET TRANSACTION (or transaction_read_only) out: the transaction is that of the whole deploy';
    end if;
  end $check$;
`

/**
 * Statements that have all constraints checked that wait for the commit, as the file's own commit
 * would have had; those that are declared to wait then wait again. To be sent as one simple query.
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
    where c.condeferred;
    if names is not null then
      execute pg_catalog.format('set constraints %s deferred', names);
    end if;
  end $check$;
`
