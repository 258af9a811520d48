import { randomBytes } from 'node:crypto'
import type { Credentials } from '../../postgres/hosts/server.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import { scramVerifier } from '../../postgres/session/scram.ts'

/** Logs in and asks nothing; fails as a connection that cannot be opened does. */
export type LogIn = (database: string, credentials: Credentials) => Promise<void>

/** Platforms of the catalog whose own roles are tried where the one made for it is refused. */
const OTHERS = 5

/**
 * Logs in once as a role like those of the platforms, which is made for it and dropped again, so that
 * a pg_hba.conf which lets none of them in is known at the start. `sql` is a connection of the
 * gateway's role to the catalog. Which databases and roles pg_hba.conf names is not known: where the
 * catalog has some, it is enough that one of them gets in.
 * @returns why none gets in; undefined where one does
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

/** No name of a platform's role has a dot. One gateway at a time: one that was killed leaves the role. */
async function asTrialRole<T>(
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

/** Undefined where the log-in succeeds, or fails for another reason than whose it is. */
async function refusalOf(attempt: Promise<void>): Promise<string | undefined> {
  try {
    await attempt
    return undefined
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    // PostgreSQL looks at the right to connect after it has let the role in.
    return code?.startsWith('28') ||
      code === 'AUTHENTICATION_UNSUPPORTED' ||
      code === 'SCRAM_FAILED'
      ? message
      : undefined
  }
}
