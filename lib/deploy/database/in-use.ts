import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { isLockError, patiently } from '../run/tries.ts'

/** A session that holds locks on tables of a database. */
interface Holder {
  pid: number
  role: string | null
  application: string
}

/** Sessions that an error names. */
const MAX_SESSIONS = 10

/**
 * Runs `work` in a database that others may be using. Repeats it after a lock error for up to
 * `totalMs`; a failed try must leave no changes.
 * @param admin connection to the administrative database
 * @throws {GatewayError} database_in_use, with the sessions that hold locks; any other error of
 *   `work`
 */
export async function untilFree<T>(
  admin: Sql,
  database: string,
  totalMs: number,
  work: () => Promise<T>,
): Promise<T> {
  const noLimit = { check: () => {} }
  try {
    return await patiently(totalMs, noLimit, async () => {}, work)
  } catch (error) {
    if (!isLockError(error)) throw error
    throw await databaseInUse(admin, database, totalMs)
  }
}

/** Returns the error of work whose locks others held for `totalMs`, with their sessions. */
export async function databaseInUse(
  admin: Sql,
  database: string,
  totalMs: number,
): Promise<GatewayError> {
  return inUse(database, totalMs, await readHolders(admin, database))
}

/** Returns sessions that hold locks on relations other than PostgreSQL's own. */
async function readHolders(admin: Sql, database: string): Promise<Holder[]> {
  return admin<Holder[]>`
    select a.pid, a.usename::text as role, a.application_name as application
    from pg_stat_activity a
    where a.datname = ${database} and exists (
      select from pg_locks l
      where l.pid = a.pid and l.database = a.datid and l.granted
        and l.locktype = 'relation' and l.relation >= 16384
    )
    order by a.pid limit ${MAX_SESSIONS}
  `
}

function inUse(database: string, totalMs: number, sessions: Holder[]): GatewayError {
  const named = sessions.map(({ pid, role, application }) =>
    [`${pid}`, role && `of ${role}`, application && `(${application})`].filter(Boolean).join(' '),
  )
  const who = named.length > 0 ? `; sessions with locks now: ${named.join(', ')}` : ''
  return new GatewayError(
    'database_in_use',
    `Database ${database} is in use: its objects could not be locked within ${totalMs / 1000} s (LOCK_TIMEOUT_SECS)${who}`,
    {
      database,
      sessions,
      hint: 'Send the request again when these sessions have ended their transactions, or end them with pg_terminate_backend(pid)',
    },
  )
}
