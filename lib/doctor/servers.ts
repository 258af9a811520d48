import { upperFirst } from '../common/upper-first.ts'
import { withSettings } from '../config/live.ts'
import type { Config } from '../config.ts'
import type { Server } from '../postgres/hosts/server.ts'
import { MAIN_SERVER } from '../servers/parse-servers.ts'
import { MAINTENANCE, OWN_DATABASE } from '../tenancy/catalog/home.ts'
import {
  type Belonging,
  readBelonging,
  TAKE_OVER,
  whyForeign,
} from '../tenancy/catalog/main-catalog.ts'
import { type Check, failed, ok, warning } from './check.ts'
import { checkServer, lookInto } from './server.ts'

/** Which server and database a URI leads to. */
interface Identity {
  name: string
  database: string
  /** Start of the server, and its port: the same if one is asked twice. */
  server: string
  /** The catalog there; null if there is none yet, undefined if that is not known. */
  catalog: Belonging | null | undefined
}

/**
 * Looks at each server of SERVERS, whether each is another one, and whether they and `main` belong to this
 * installation.
 */
export async function checkServers(config: Config): Promise<Check[]> {
  const checks = await Promise.all(
    [...config.servers].map(([name, server]) => checkOne(config, name, server)),
  )
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
    const identity = await identityOf(config, name, server).catch(() => null)
    if (!identity) continue
    for (const one of known) found.push(...compare(one, identity))
    known.push(identity)
    found.push(...checkInstallation(known[0]!, identity))
  }
  if (found.length > 0 || known.length < 2) return found
  return [ok('servers', `${known.map((one) => one.name).join(', ')} are different servers`)]
}

function compare(one: Identity, other: Identity): Check[] {
  const isCatalog = one.catalog?.id !== undefined && one.catalog.id === other.catalog?.id
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

/** @param first what is known of `main`, where it is known */
function checkInstallation(first: Identity, { name, catalog }: Identity): Check[] {
  if (first.name !== MAIN_SERVER || first.catalog === undefined || !catalog) return []
  const why = whyForeign(catalog, first.catalog?.id)
  if (why === undefined) return []
  const isMain = name === MAIN_SERVER
  return [
    failed(
      isMain ? 'installation' : `${name}: installation`,
      upperFirst(why),
      `Correct ${isMain ? 'DATABASE_URL' : 'SERVERS'}; ${TAKE_OVER}`,
    ),
  ]
}

async function identityOf(config: Config, name: string, server: Server): Promise<Identity> {
  const [row] = await lookInto(
    config,
    server,
    (sql) => sql<{ database: string; server: string }[]>`
      select current_database() as database,
        concat_ws(' ', pg_postmaster_start_time(), current_setting('port')) as server
    `,
  )
  const catalog = await findCatalog(config, server).catch(() => undefined)
  return { name, ...row!, catalog }
}

/** Looks for the catalog where `findHome` does. */
async function findCatalog(config: Config, server: Server): Promise<Belonging | null> {
  const found = await lookInto(config, server, async (sql) => {
    const catalog = await readBelonging(sql)
    const [own] = await sql`select from pg_database where datname = ${OWN_DATABASE}`
    return { catalog, hasOwn: own !== undefined }
  })
  if (found.catalog || server.database !== MAINTENANCE || !found.hasOwn) {
    return found.catalog ?? null
  }
  return (await lookInto(config, { ...server, database: OWN_DATABASE }, readBelonging)) ?? null
}
