import { parseDatabaseUrl } from '../../../lib/postgres/hosts/server.ts'
import { itemFiles, PLATFORM, registerPlatform } from '../call/platform.ts'
import type { Files } from '../deploy/clinic.ts'
import { forEach } from '../measure.ts'
import { query, type Rig } from '../rig.ts'

/** Rows of each tenant's only table. */
export const ITEMS = 1000

/** The tenant that is registered, and whose database the others are made from. */
export const TEMPLATE = 'template'
const CREATED_AT_ONCE = 4
const CALLED_AT_ONCE = 8

/** The database of a tenant; they count from 0. */
export function databaseOf(tenant: number): string {
  return `${PLATFORM}_t${tenant}`
}

/**
 * Registers one tenant, makes the others from its database and enters them in the catalog as the
 * gateway would: a thousand deploys take longer than the benchmark.
 */
export async function createTenants(
  rig: Rig,
  count: number,
  files: Files = itemFiles(ITEMS),
  strategy: 'wal_log' | 'file_copy' = 'wal_log',
): Promise<void> {
  await registerPlatform(rig, files, TEMPLATE)
  const owner = await query(
    rig,
    undefined,
    `select quote_ident(owner_role) as text from _db_gateway_databases
     where platform = '${PLATFORM}' and tenant_id = '${TEMPLATE}'`,
  )
  const tenants = Array.from({ length: count }, (_, i) => i)
  await forEach(tenants, CREATED_AT_ONCE, async (tenant) => {
    rig.signal.throwIfAborted()
    await query(
      rig,
      undefined,
      `create database ${databaseOf(tenant)} template ${PLATFORM}_${TEMPLATE} strategy ${strategy}`,
    )
    // A gateway that starts takes CONNECT from PUBLIC.
    await query(rig, undefined, `grant connect on database ${databaseOf(tenant)} to ${owner}`)
  })
  await enterTenants(rig, count)
}

/** Enters tenants in the catalog, as deployed to as the template is; their databases may not be there. */
export async function enterTenants(rig: Rig, count: number): Promise<void> {
  await query(
    rig,
    undefined,
    `insert into _db_gateway_databases
       (database, platform, tenant_id, owner_role, schema_checksum, last_deployed_at)
     select '${PLATFORM}_t' || i, platform, 't' || i, owner_role, schema_checksum, last_deployed_at
     from _db_gateway_databases, generate_series(0, ${count - 1}) i
     where platform = '${PLATFORM}' and tenant_id = '${TEMPLATE}'`,
  )
}

/**
 * Gives the gateway's role a password that is as dear to check as PostgreSQL's default makes it
 * (scram_iterations, RFC 5802): the embedded one's costs nothing, since nobody else comes near it.
 */
export async function makeLoginsUsual(rig: Rig): Promise<void> {
  const { user, password } = parseDatabaseUrl(rig.databaseUrl)
  await query(
    rig,
    undefined,
    `set scram_iterations = 4096; alter role ${user} password '${password}'`,
  )
}

/**
 * Calls each tenant once: PostgreSQL writes a new database's cache of its catalogs at the first
 * connection, and the gateway reads whose it is and what its functions take.
 */
export async function callEach(
  { gatewayUrl, signal }: Pick<Rig, 'gatewayUrl' | 'signal'>,
  count: number,
): Promise<void> {
  const tenants = Array.from({ length: count }, (_, i) => i)
  await forEach(tenants, CALLED_AT_ONCE, async (tenant) => {
    const response = await fetch(`${gatewayUrl}/call`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        platform: PLATFORM,
        tenant_id: `t${tenant}`,
        function: 'get_item',
        params: [1],
      }),
      signal,
    })
    if (!response.ok) throw new Error(`Tenant ${tenant}: ${await response.text()}`)
    await response.arrayBuffer()
  })
}

/** How many connections PostgreSQL has been opened to the tenants' databases, so far. */
export async function sessionsSoFar(rig: Rig): Promise<number> {
  const text = await query(
    rig,
    undefined,
    `select sum(sessions)::text as text from pg_stat_database where datname like '${PLATFORM}\\_t%'`,
  )
  return Number(text)
}
