import { withSettings } from '../config/live.ts'
import type { Config } from '../config.ts'
import type { Server } from '../postgres/hosts/server.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { MAIN_SERVER } from '../servers/parse-servers.ts'
import { type Check, failed, ok, warning } from './check.ts'
import { checkServer, lookInto } from './server.ts'

/** Which server and database a URI leads to. */
interface Identity {
  name: string
  database: string
  /** Start of the server, and its port: the same if one is asked twice. */
  server: string
  /** Ids of the catalogs there. */
  catalogs: string[]
}

/** Looks at each server of SERVERS, and whether each is another one. */
export async function checkServers(config: Config): Promise<Check[]> {
  const checks = await Promise.all(
    [...config.servers].map(([name, server]) => checkOne(config, name, server)),
  )
  if (checks.length === 0) return []
  return [...checks.flat(), ...(await checkIdentities(config))]
}

async function checkOne(config: Config, name: string, server: Server): Promise<Check[]> {
  const own = withSettings(config, {
    maxTotalConnections: config.serverConnections.get(name) ?? config.maxTotalConnections,
  }) as Config
  const checks = await checkServer(own, server)
  return checks.map((one) => ({ ...one, name: `${name}: ${one.name}` }))
}

async function checkIdentities(config: Config): Promise<Check[]> {
  const all: [string, Server][] = [...config.servers]
  if (config.server) all.unshift([MAIN_SERVER, config.server])
  const known: Identity[] = []
  const found: Check[] = []
  for (const [name, server] of all) {
    // What cannot be reached has its own check.
    const identity = await lookInto(config, server, (sql) => identityOf(sql, name)).catch(
      () => null,
    )
    if (!identity) continue
    for (const one of known) found.push(...compare(one, identity))
    known.push(identity)
  }
  if (found.length > 0 || known.length < 2) return found
  return [ok('servers', `${known.map((one) => one.name).join(', ')} are different servers`)]
}

function compare(one: Identity, other: Identity): Check[] {
  const isCatalog = one.catalogs.some((id) => other.catalogs.includes(id))
  const isServer = one.server === other.server
  const names = `${one.name} and ${other.name}`
  if (isCatalog || (isServer && one.database === other.database)) {
    return [
      failed(
        'servers',
        `${names} are the same database, ${other.database}, of the same PostgreSQL`,
        'Have each name of SERVERS lead to a PostgreSQL of its own',
      ),
    ]
  }
  if (!isServer) return []
  return [
    warning(
      'servers',
      `${names} are databases of the same PostgreSQL, which is counted and limited twice`,
      'Have each name of SERVERS lead to a PostgreSQL of its own',
    ),
  ]
}

async function identityOf(sql: Sql, name: string): Promise<Identity> {
  const [row] = await sql<{ database: string; server: string }[]>`
    select current_database() as database,
      concat_ws(' ', pg_postmaster_start_time(), current_setting('port')) as server
  `
  const catalogs = await sql<{ id: string }[]>`
    select id::text from _db_gateway_catalog
  `.catch(() => [])
  return { name, ...row!, catalogs: catalogs.map(({ id }) => id) }
}
