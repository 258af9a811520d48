import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Tenant } from '../../tenancy/catalog/tenant-rows.ts'
import { describeOwner } from '../../tenancy/owner-identity.ts'

/** A session that the gateway's role may not end. */
interface Session {
  pid: number
  role: string
  application: string | null
}

/** Sessions that an error names. */
const MAX_SESSIONS = 10
const WITHIN_MS = 2000
const LOOK_EVERY_MS = 50

/**
 * Resolves when the database has no sessions that the gateway's role may not end, such as those of
 * a superuser. PostgreSQL drops no database that has one.
 * @throws {GatewayError} tenant_busy, with the sessions, after 2 s
 */
export async function untilNoOthers(admin: Sql, tenant: Tenant): Promise<void> {
  const { database } = tenant
  for (const giveUpAt = performance.now() + WITHIN_MS; ; await sleep(LOOK_EVERY_MS)) {
    // Autovacuum has no role, and gives way to a drop.
    const sessions = await admin<Session[]>`
      select pid, usename::text as role, nullif(application_name, '') as application
      from pg_stat_activity
      where datname = ${database} and usesysid is not null and not pg_has_role(usesysid, 'usage')
      order by pid limit ${MAX_SESSIONS}
    `
    if (sessions.length === 0) return
    if (performance.now() < giveUpAt) continue
    throw new GatewayError(
      'tenant_busy',
      `${describeOwner(tenant)} is in use: ${database} has sessions of other roles, which the gateway may not end`,
      {
        database,
        sessions,
        hint: 'End them with pg_terminate_backend(pid), as a superuser, and send the request again',
      },
    )
  }
}
