import { GatewayError } from '../errors.ts'
import type { Sql } from '../postgres/connection.ts'
import { isPostgresError } from '../postgres/errors.ts'
import type { TimeLimit } from './time-limit.ts'

const LOCK_NOT_AVAILABLE = '55P03'

/** Between two looks at a lock that another gateway holds. */
const POLL_MS = 50

/**
 * Makes a connection fit for a deploy and takes the lock that lets one deploy at a time into the
 * database, whatever gateway it comes from. Both last as long as the connection. The platform may
 * have functions of the same names, which would have this wait for ever.
 */
export async function openDeploySession(
  sql: Sql,
  lockTimeoutMs: number,
  limit: TimeLimit,
): Promise<void> {
  await Promise.all([
    sql`
      select pg_catalog.set_config('statement_timeout', '0', false),
        pg_catalog.set_config('lock_timeout', ${`${lockTimeoutMs}ms`}, false)
    `,
    // Where the gateway dies, its deploy ends too instead of holding the lock until its statement
    // is through. Not every platform has it.
    sql.unsafe("set client_connection_check_interval = '2s'").catch(() => {}),
  ])
  // Looking again and again, since a session that waits inside PostgreSQL has a snapshot, and a
  // `create index concurrently` of the deploy that it waits for would wait for that in turn.
  for (;;) {
    const [row] = await sql<{ locked: boolean }[]>`
      select pg_catalog.pg_try_advisory_lock(
        pg_catalog.hashtext('_db_gateway_deploy')
      ) as locked
    `
    if (row!.locked) return
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    limit.check()
  }
}

/** Whether a statement gave up after `lock_timeout`: some other transaction held the lock. */
export function isLockTimeout(error: unknown): boolean {
  return error instanceof GatewayError
    ? error.details.sqlstate === LOCK_NOT_AVAILABLE
    : isPostgresError(error) && error.code === LOCK_NOT_AVAILABLE
}
