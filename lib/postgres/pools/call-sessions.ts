import { GatewayError } from '../../errors.ts'
import { endsConnection, isPostgresError, type PostgresError, postgresDetails } from '../errors.ts'
import type { Session } from '../session/session.ts'

/** Class of the gateway's advisory locks of two keys: "dbgw". */
export const LOCK_CLASS = 0x64626777

/** A session for calls holds it in share mode while it is opened; a deploy that retypes closes it. */
const GATE = `${LOCK_CLASS}, 1`

/** A session for calls holds it in share mode for as long as it lives; nothing waits for it. */
const PRESENCE = `${LOCK_CLASS}, 2`

/** Presence that a function cannot give up: until its transaction ends. */
export const STAY_PRESENT = `select pg_catalog.pg_advisory_xact_lock_shared(${PRESENCE})`

/** The caller has a limit of its own; none of the server's, the role's or the database's is meant. */
const JOIN = `
  set local statement_timeout = 0;
  set local lock_timeout = 0;
  select pg_catalog.set_config(s.name, '0', true)
  from (values ('transaction_timeout')) s (name)
  where pg_catalog.current_setting(s.name, true) is not null;
  select
    pg_catalog.pg_advisory_xact_lock_shared(${GATE}),
    pg_catalog.pg_advisory_lock_shared(${PRESENCE})
`

/** Who keeps the gate closed and says nothing for so long is cut off by PostgreSQL, which opens it. */
const SILENCE_MS = 5000

/** Who keeps the gate closed says something every so often, in milliseconds. */
export const SPEAK_EVERY_MS = 1000

/** Closes the gate until the end of the transaction: no session for calls is opened meanwhile. */
export const CLOSE_GATE = `
  set local idle_in_transaction_session_timeout = ${SILENCE_MS};
  select pg_catalog.pg_advisory_xact_lock(${GATE})
`

/** The same, until the session ends. */
export const KEEP_GATE_CLOSED = `
  set idle_session_timeout = ${SILENCE_MS};
  select pg_catalog.pg_advisory_lock(${GATE})
`

/**
 * Select items that release all advisory locks of a session but its presence, which the transaction
 * holds meanwhile. The first is false where a function has given up the presence before.
 */
export const RELEASE_LOCKS = `
  pg_catalog.pg_try_advisory_xact_lock_shared(${PRESENCE})
    and pg_catalog.pg_advisory_unlock_shared(${PRESENCE}),
  pg_catalog.pg_advisory_unlock_all(),
  pg_catalog.pg_advisory_lock_shared(${PRESENCE})
`

/** A condition for rows of pg_locks: the presence of a session for calls in the current database. */
export const IS_PRESENCE = `
  locktype = 'advisory' and objsubid = 2 and classid = ${LOCK_CLASS} and objid = 2
  and database = (
    select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()
  )
`

/**
 * Makes a session that was opened one for calls, once no deploy keeps the gate closed. One that fails
 * is cut.
 * @throws {GatewayError} pool_exhausted after `limitMs`, connection_failed for what PostgreSQL refuses;
 *   {Error} of a connection that was lost
 */
export async function joinCalls(
  session: Session,
  database: string,
  limitMs: number,
): Promise<void> {
  const timer = setTimeout(() => session.destroy(heldUp(database, limitMs)), limitMs)
  try {
    const joined = session.simple(JOIN)
    session.flush()
    await joined
  } catch (error) {
    const isRefused = isPostgresError(error) && !endsConnection(error)
    const cause = isRefused ? notJoined(database, error) : (error as Error)
    session.destroy(cause)
    throw cause
  } finally {
    clearTimeout(timer)
  }
}

function notJoined(database: string, error: PostgresError): GatewayError {
  const message = `PostgreSQL opens no session for calls of ${database}`
  return new GatewayError('connection_failed', message, { database, ...postgresDetails(error) })
}

function heldUp(database: string, limitMs: number): GatewayError {
  const message = `A deploy that changes types keeps calls from ${database} for longer than ${limitMs / 1000} s`
  return new GatewayError('pool_exhausted', message, { database })
}
