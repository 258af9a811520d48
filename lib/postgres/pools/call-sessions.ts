import { GatewayError } from '../../errors.ts'
import { isRefusal, type PostgresError, postgresDetails } from '../errors.ts'
import type { Result } from '../session/query.ts'
import type { Session } from '../session/session.ts'

/** First key of the gateway's advisory locks with two keys: "dbgw" in ASCII. */
export const LOCK_CLASS = 0x64626777

/**
 * The gate: a call session takes it in share mode while it opens. A deploy that changes types holds
 * it exclusively, so that no call session opens in the meantime.
 */
const GATE = `${LOCK_CLASS}, 1`

/** The presence lock: a call session holds it in share mode until it ends. Nothing waits for it. */
const PRESENCE = `${LOCK_CLASS}, 2`

/** Takes the presence lock until the transaction ends: a function cannot release that. */
export const STAY_PRESENT = `select pg_catalog.pg_advisory_xact_lock_shared(${PRESENCE})`

/** What a session for calls is asked when it opens, beside the locks. */
export interface OpeningQuestion {
  /** Select items whose values are no nulls. */
  items: string
  /** Called with their values as text, joined by spaces. */
  onAnswer: (database: string, values: string) => void
}

/**
 * Takes both locks if no deploy holds the gate: false, and nothing is asked of the gate's holder,
 * if one does. It waits for nothing, so no timeout applies.
 */
const ENTER = `
  select pg_catalog.pg_try_advisory_xact_lock_shared(${GATE})
    and pg_catalog.pg_try_advisory_lock_shared(${PRESENCE})
`

/**
 * Sets the timeouts of the server, the role and the database to 0 for the wait at the gate: the
 * caller has its own. `transaction_timeout` came with PostgreSQL 17.
 */
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

/** PostgreSQL ends a session that holds the gate and is idle for 5 s; the gate opens again. */
const SILENCE_MS = 5000

/** Interval in milliseconds at which the holder of the gate sends a statement. */
export const SPEAK_EVERY_MS = 1000

/** Takes the gate until the transaction ends; no call session opens in the meantime. */
export const CLOSE_GATE = `
  set local idle_in_transaction_session_timeout = ${SILENCE_MS};
  select pg_catalog.pg_advisory_xact_lock(${GATE})
`

/** Takes the gate until the session ends. */
export const KEEP_GATE_CLOSED = `
  set idle_session_timeout = ${SILENCE_MS};
  select pg_catalog.pg_advisory_lock(${GATE})
`

/**
 * Select items that release all advisory locks of a session except its presence lock, which the
 * transaction holds in the meantime. The first item is false if a function had already released the
 * presence lock.
 */
export const RELEASE_LOCKS = `
  pg_catalog.pg_try_advisory_xact_lock_shared(${PRESENCE})
    and pg_catalog.pg_advisory_unlock_shared(${PRESENCE}),
  pg_catalog.pg_advisory_unlock_all(),
  pg_catalog.pg_advisory_lock_shared(${PRESENCE})
`

/** Condition on pg_locks: presence locks of call sessions in all databases. */
export const IS_PRESENCE_ANYWHERE = `
  locktype = 'advisory' and objsubid = 2 and classid = ${LOCK_CLASS} and objid = 2
`

/** Condition on pg_locks: presence locks of call sessions in the current database. */
export const IS_PRESENCE = `
  ${IS_PRESENCE_ANYWHERE}
  and database = (
    select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()
  )
`

/** Returns the statement that goes out with the log-in of a session for calls. */
export function entering(question: OpeningQuestion | undefined): string {
  return question ? `${ENTER}, ${question.items}` : ENTER
}

/**
 * Makes an open session, with whose log-in `entering` went out, a call session. Waits if a deploy
 * holds the gate. Cuts the session if it fails.
 * @throws {GatewayError} pool_exhausted after `limitMs`; connection_failed if PostgreSQL reports an
 *   error
 * @throws {Error} if the connection is lost
 */
export async function joinCalls(
  session: Session,
  database: string,
  limitMs: number,
  question?: OpeningQuestion,
): Promise<void> {
  const timer = setTimeout(() => session.destroy(heldUp(database, limitMs)), limitMs)
  try {
    const [isIn, ...values] = await entered(session, question)
    if (values.length > 0) question?.onAnswer(database, values.join(' '))
    if (isIn !== 't') await ask(session, JOIN)
  } catch (error) {
    const cause = isRefusal(error) ? notJoined(database, error) : (error as Error)
    session.destroy(cause)
    throw cause
  } finally {
    clearTimeout(timer)
  }
}

/** Asks without the question if PostgreSQL refuses it: the role may not use a function of it. */
async function entered(session: Session, question: OpeningQuestion | undefined): Promise<string[]> {
  const answer = session.answerToLogIn(entering(question)).catch((error) => {
    if (question && isRefusal(error)) return ask(session, ENTER)
    throw error
  })
  const [result] = await answer
  return result!.rows[0]!.map(String)
}

function ask(session: Session, sql: string): Promise<Result[]> {
  const answer = session.simple(sql)
  session.flush()
  return answer
}

function notJoined(database: string, error: PostgresError): GatewayError {
  const message = `PostgreSQL refuses to open a session for calls of ${database}`
  return new GatewayError('connection_failed', message, { database, ...postgresDetails(error) })
}

function heldUp(database: string, limitMs: number): GatewayError {
  const message = `A deploy that changes types of ${database} has kept calls waiting for more than ${limitMs / 1000} s`
  return new GatewayError('pool_exhausted', message, { database })
}
