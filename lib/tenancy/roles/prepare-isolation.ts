import type { Config } from '../../config.ts'
import type { Log } from '../../log.ts'
import type { Credentials, Server } from '../../postgres/hosts/server.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { Pools } from '../../postgres/pools/pools.ts'
import { closeDatabases, revokeStatement } from './closed-databases.ts'
import type { Roles } from './roles.ts'
import { tryLogIn } from './trial.ts'

/** Parts of a gateway that isolation needs. */
export interface IsolationParts {
  config: Config
  log: Log
  /** Server, with the database that holds the catalog. */
  server: Server
  pools: Pools
  roles: Roles
  catalogId: string
}

/**
 * Sets the passwords of the platforms' roles and revokes CONNECT from PUBLIC on the gateway's
 * databases. Logs a warning for each gap that the gateway cannot close, or that the settings leave
 * open.
 */
export async function prepareIsolation(parts: IsolationParts): Promise<void> {
  const { pools, server, roles, log } = parts
  if (roles.isolation === 'shared-role') {
    log.warn(
      `ISOLATION is shared: the functions of all platforms run as the role ${server.user}, and each function can reach all databases`,
      { isolation: roles.isolation },
    )
    return
  }
  await pools.use(server.database, async (sql) => {
    const foreign = await roles.prepare(sql)
    for (const platform of foreign) {
      log.warn(`The role of the platform ${platform} belongs to another catalog on this server`, {
        platform,
      })
    }
    tellOpen(await closeDatabases(sql), log)
    await tellShared(sql, log)
  })
}

/**
 * Logs the databases that PUBLIC can connect to, with the statements that close them: only their
 * owners know whether other applications need the right.
 */
function tellOpen(databases: string[], log: Log): void {
  if (databases.length === 0) return
  const statements = databases.map((name) => `${revokeStatement(name)};`)
  log.warn(
    `The roles of the platforms may connect to ${databases.join(', ')}, as every role may: if no application needs that, run ${statements.join(' ')}`,
  )
}

/**
 * Logs the platforms whose databases an older gateway created and that have no role of their own
 * yet.
 */
async function tellShared(sql: Sql, log: Log): Promise<void> {
  const rows = await sql<{ platform: string }[]>`
    select distinct platform from _db_gateway_databases where owner_role is null order by platform
  `
  if (rows.length === 0) return
  const platforms = rows.map(({ platform }) => platform).join(', ')
  log.warn(
    `Functions still run as the gateway's own role in databases of ${platforms}: the next /register or /migrate of each database gives it to the platform's role`,
    { databases_shared: rows.length },
  )
}

/**
 * Checks that PostgreSQL accepts log-ins of the platforms' roles. Needs a second connection, so
 * call it after the gateway has its share of connections.
 * @throws {Error} with a message of one line, if no role can log in
 */
export async function checkLogIn(parts: IsolationParts): Promise<void> {
  const { config, pools, server, roles, catalogId } = parts
  if (roles.isolation === 'shared-role') return
  const refusal = await pools.use(server.database, (sql) =>
    tryLogIn(
      sql,
      catalogId,
      (role) => roles.credentialsOf(role),
      (database, credentials) => logIn(config, server, database, credentials),
    ),
  )
  if (refusal === undefined) return
  if (server.pooler) {
    throw new Error(
      `The pooler does not let the roles of the platforms log in (${refusal}): give PgBouncer auth_user and auth_query, or set ISOLATION=shared where nobody may read the passwords of roles (see docs/pgbouncer.md)`,
    )
  }
  throw new Error(
    `PostgreSQL does not let the roles of the platforms log in (${refusal}): add a line for them to pg_hba.conf, such as "host all all <address of the gateway>/32 scram-sha-256", or set ISOLATION=shared`,
  )
}

async function logIn(
  config: Config,
  server: Server,
  database: string,
  credentials: Credentials,
): Promise<void> {
  const pools = new Pools(
    server,
    config,
    () => undefined,
    () => credentials,
  )
  try {
    await pools.use(database, (own) => own.unsafe(''))
  } finally {
    await pools.end()
  }
}
