import type { Config } from '../../config.ts'
import type { Log } from '../../log.ts'
import type { Credentials, Server } from '../../postgres/hosts/server.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { Pools } from '../../postgres/pools/pools.ts'
import { closeDatabases, revokeStatement } from './closed-databases.ts'
import type { Roles } from './roles.ts'
import { tryLogIn } from './trial.ts'

/** What keeping the platforms apart takes of a gateway. */
export interface IsolationParts {
  config: Config
  log: Log
  /** Its database is the catalog's. */
  server: Server
  pools: Pools
  roles: Roles
  catalogId: string
}

/**
 * Sees to what keeps the platforms apart on this server: their roles' passwords, and who may connect
 * where. What the gateway may not mend, or was asked not to, is in the log.
 */
export async function prepareIsolation(parts: IsolationParts): Promise<void> {
  const { pools, server, roles, log } = parts
  if (roles.isolation === 'shared-role') {
    log.warn(
      `ISOLATION is shared: the functions of all platforms run as the role ${server.user}, and can reach all databases`,
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

/** Who owns a database is asked to close it, since others may use it. */
function tellOpen(databases: string[], log: Log): void {
  if (databases.length === 0) return
  const statements = databases.map((name) => `${revokeStatement(name)};`)
  log.warn(
    `The roles of the platforms may connect to ${databases.join(', ')}, as every role may: where nobody needs that, run ${statements.join(' ')}`,
  )
}

/** Databases of before, which have no role of their platform yet. */
async function tellShared(sql: Sql, log: Log): Promise<void> {
  const rows = await sql<{ platform: string }[]>`
    select distinct platform from _db_gateway_databases where owner_role is null order by platform
  `
  if (rows.length === 0) return
  const platforms = rows.map(({ platform }) => platform).join(', ')
  log.warn(
    `Functions still run as the gateway's own role in databases of ${platforms}: the next /register or /migrate of each hands it over to the platform's role`,
    { databases_shared: rows.length },
  )
}

/**
 * Sees to it that PostgreSQL lets the platforms' roles in. It takes a second connection, which a gateway
 * has once it has its share of them.
 * @throws {Error} with one line, where it lets none in
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
  throw new Error(
    `PostgreSQL does not let the roles of the platforms log in (${refusal}): pg_hba.conf needs a line for them, such as "host all all <address of the gateway>/32 scram-sha-256"; or ISOLATION=shared`,
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
