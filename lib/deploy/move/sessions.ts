import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../../errors.ts'
import type { PostgresError } from '../../postgres/errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { CatalogEntry } from '../../tenancy/catalog/catalog-table.ts'
import { describeOwner } from '../../tenancy/owner-identity.ts'

/** A session that keeps a database in use. */
interface Session {
  pid: number
  role: string | null
  application: string | null
  /** As in pg_stat_activity. */
  state: string | null
  /** Seconds since the beginning of its query or of its idleness. */
  for_s: number | null
}

/** A database cannot be had alone at this moment: nothing was done to it, and later it may be. */
export class InUse extends GatewayError {}

/** Sessions that an error names. */
const MAX_SESSIONS = 10

const LOOK_EVERY_MS = 20

/**
 * Consecutive looks that must find no session, since a connection is replaced by another one while
 * calls wait for it.
 */
const QUIET_LOOKS = 4

const DEPLOY_LOOK_EVERY_MS = 100

/**
 * Resolves when the database has no sessions. Every gateway closes those that are idle when it
 * hears that calls are held.
 * @param follower session of a replication, which does not count, as those that send it do not
 * @throws {InUse} tenant_busy, with the sessions, after `withinMs`
 */
export async function untilNobody(
  admin: Sql,
  tenant: CatalogEntry,
  withinMs: number,
  follower: number | null = null,
): Promise<void> {
  const giveUpAt = performance.now() + withinMs
  for (let quiet = 0; quiet < QUIET_LOOKS; ) {
    const sessions = await readSessions(admin, tenant.database, follower)
    quiet = sessions.length === 0 ? quiet + 1 : 0
    if (sessions.length > 0 && performance.now() > giveUpAt) {
      throw inUse(tenant, sessions, withinMs)
    }
    await sleep(LOOK_EVERY_MS)
  }
}

/** Returns the error for a database that PostgreSQL itself found in use, also without sessions. */
export async function stillInUse(
  admin: Sql,
  tenant: CatalogEntry,
  withinMs: number,
  { message, detail }: PostgresError,
): Promise<InUse> {
  const sessions = await readSessions(admin, tenant.database)
  return inUse(tenant, sessions, withinMs, [message, detail].filter(Boolean).join('; '))
}

/** Returns whether a session has been in a transaction of the database for longer than `ms`. */
export async function hasLongTransaction(
  admin: Sql,
  database: string,
  ms: number,
): Promise<boolean> {
  const rows = await admin`
    select from pg_stat_activity
    where datname = ${database} and usesysid is not null
      and backend_type is distinct from 'walsender'
      and xact_start < clock_timestamp() - make_interval(secs => ${ms / 1000})
    limit 1
  `
  return rows.length > 0
}

/**
 * Resolves when no deploy to the database runs, on any gateway.
 * @throws {GatewayError} tenant_busy after `withinMs`
 */
export async function untilNoDeploy(
  admin: Sql,
  tenant: CatalogEntry,
  withinMs: number,
): Promise<void> {
  const giveUpAt = performance.now() + withinMs
  while (await isDeploying(admin, tenant.database)) {
    if (performance.now() > giveUpAt) {
      const message = `${describeOwner(tenant)} is being deployed to, for ${withinMs / 1000} s already`
      throw new GatewayError('tenant_busy', message, { database: tenant.database })
    }
    await sleep(DEPLOY_LOOK_EVERY_MS)
  }
}

/** Returns whether a session holds the lock of `tryDeployLock` in the database. */
async function isDeploying(admin: Sql, database: string): Promise<boolean> {
  const rows = await admin`
    select from pg_locks l
    join pg_database d on d.oid = l.database
    where d.datname = ${database} and l.locktype = 'advisory' and l.granted and l.objsubid = 1
      and l.objid::bigint = hashtext('_db_gateway_deploy')::bigint & 4294967295
    limit 1
  `
  return rows.length > 0
}

/**
 * Returns the sessions of a database. A session with a role is one of a client or of an extension's
 * worker; autovacuum has none. PostgreSQL hides `backend_type` of other roles' sessions.
 */
async function readSessions(
  admin: Sql,
  database: string,
  follower: number | null = null,
): Promise<Session[]> {
  return admin<Session[]>`
    select pid, usename::text as role, nullif(application_name, '') as application, state,
      round(extract(epoch from clock_timestamp()
        - case when state = 'idle' then state_change else query_start end))::float8 as for_s
    from pg_stat_activity
    where datname = ${database} and usesysid is not null
      and backend_type is distinct from 'parallel worker'
      and (${follower}::integer is null
        or pid <> ${follower} and backend_type is distinct from 'walsender')
    order by pid limit ${MAX_SESSIONS}
  `
}

function inUse(tenant: CatalogEntry, sessions: Session[], withinMs: number, cause?: string): InUse {
  const { database } = tenant
  return new InUse(
    'tenant_busy',
    `${describeOwner(tenant)} is in use: sessions of ${database} have not ended within ${withinMs / 1000} s`,
    {
      database,
      sessions,
      ...(cause && { cause }),
      hint: 'Send the request again when they have ended, or end them with pg_terminate_backend(pid). "hold": true waits longer for running calls, and answers others 503 meanwhile',
    },
  )
}
