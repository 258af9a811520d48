import { randomBytes } from 'node:crypto'
import type { Credentials } from '../../postgres/hosts/server.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import { scramVerifier } from '../../postgres/session/scram.ts'

/** Connects and runs no query. Rejects with the error of the connection if it cannot be opened. */
export type LogIn = (database: string, credentials: Credentials) => Promise<void>

/** How PgBouncer refuses a role whose password it cannot find, or that of its auth_query. */
const POOLER_KNOWS_NO = /no such user|authentication failed|auth_query|bouncer config error/i

/** Maximum number of existing roles that are tried if PostgreSQL refuses the trial role. */
const OTHERS = 5

/**
 * Creates a role like those of the platforms, logs in as it once, and drops it, so that a
 * pg_hba.conf which refuses such roles shows at the start. pg_hba.conf may list single databases
 * and roles: if the trial role is refused, the log-in of one existing platform role is enough.
 * @param sql connection of the gateway's role to the catalog
 * @returns the error message if no role can log in; undefined if one can
 */
export async function tryLogIn(
  sql: Sql,
  catalogId: string,
  credentialsOf: (role: string) => Credentials | undefined,
  logIn: LogIn,
): Promise<string | undefined> {
  const known = await sql<{ database: string; role: string }[]>`
    select c.database, c.owner_role as role
    from _db_gateway_databases c
    join pg_database d on d.datname = c.database and d.datallowconn
    join pg_roles r on r.rolname = c.owner_role
    order by c.created_at desc
    limit ${OTHERS}
  `
  const [own] = await sql<{ database: string }[]>`select current_database() as database`
  const where = known[0]?.database ?? own!.database
  const refusal = await asTrialRole(sql, catalogId, (credentials) =>
    refusalOf(logIn(where, credentials)),
  )
  if (refusal === undefined) return undefined
  for (const { database, role } of known) {
    const credentials = credentialsOf(role)
    if (credentials && (await refusalOf(logIn(database, credentials))) === undefined)
      return undefined
  }
  return refusal
}

/**
 * Runs `work` with a temporary role. The dot in its name keeps it apart from platforms' roles. An
 * advisory lock admits one gateway at a time, and a role that a killed gateway left is replaced.
 */
export async function asTrialRole<T>(
  sql: Sql,
  catalogId: string,
  work: (credentials: Credentials) => Promise<T>,
): Promise<T> {
  const user = `gw_.trial_${catalogId.slice(0, 8)}`
  const password = randomBytes(24).toString('base64url')
  const name = quoteIdentifier(user)
  await sql`select pg_advisory_lock(hashtext('_db_gateway_trial'))`
  try {
    await sql.unsafe(`
      drop role if exists ${name};
      create role ${name} login password '${await scramVerifier(password)}'
    `)
    return await work({ user, password })
  } finally {
    await sql.unsafe(`drop role if exists ${name}`)
    await sql`select pg_advisory_unlock(hashtext('_db_gateway_trial'))`
  }
}

/**
 * Returns the message of a refused log-in; undefined if the log-in succeeds, or fails for a reason
 * other than authentication.
 */
export async function refusalOf(attempt: Promise<void>): Promise<string | undefined> {
  try {
    await attempt
    return undefined
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    // PostgreSQL checks CONNECT after authentication, so a missing right is not a refused log-in.
    return code?.startsWith('28') ||
      (code === '08P01' && POOLER_KNOWS_NO.test(message)) ||
      code === 'AUTHENTICATION_UNSUPPORTED' ||
      code === 'SCRAM_FAILED'
      ? message
      : undefined
  }
}
