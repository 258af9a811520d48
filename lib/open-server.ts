import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from './config.ts'
import type { Log } from './log.ts'
import { type EmbeddedPostgres, startEmbedded } from './postgres/embedded.ts'
import { isConnectionLost, isPostgresError } from './postgres/errors.ts'
import { describeServer, parseDatabaseUrl, type Server } from './postgres/hosts/server.ts'
import { poolerProblem, refusedByPooler } from './postgres/pooler.ts'
import type { Sql } from './postgres/pools/connection.ts'
import { Pools } from './postgres/pools/pools.ts'
import { quoteIdentifier } from './postgres/quote.ts'
import { findHome } from './tenancy/catalog/home.ts'
import { type OpenCatalog, openCatalog } from './tenancy/catalog/open-catalog.ts'
import { closeMaintenance } from './tenancy/roles/closed-databases.ts'
import { readGivenSecrets } from './tenancy/secrets/given-secrets.ts'

/** A PostgreSQL that answers, and its catalog. */
export interface OpenServer {
  version: string
  /** The server, with the database that holds the catalog. */
  home: Server
  catalog: OpenCatalog
}

const RETRY_EVERY_MS = 2000
const OLDEST_POSTGRES = 15

/**
 * Waits for PostgreSQL, finds the database of the catalog, and opens the catalog.
 * @param mainId as of `openCatalog`
 * @throws {Error} with a message of one line
 */
export async function openServer(
  config: Config,
  server: Server,
  log: Log,
  signal: AbortSignal | undefined,
  mainId?: string,
): Promise<OpenServer> {
  const pools = new Pools(server, config)
  try {
    const version = await waitForPostgres(pools, server, config, log, signal)
    const unfit = await poolerProblem(pools, server)
    if (unfit) throw new Error(`PostgreSQL at ${describeServer(server)}: ${unfit}`)
    const given = await readGivenSecrets({
      ...config,
      ownDataDir: config.server ? undefined : config.dataDir,
    })
    const database = await pools.use(server.database, async (sql) => {
      await checkRights(sql, config)
      return findHome(sql, server.database)
    })
    const catalog = await pools.use(database, (sql) => openCatalog(sql, given, mainId))
    const checksClient = !server.pooler && (await pools.use(database, canCheckClient))
    return { version, home: { ...server, database, checksClient }, catalog }
  } finally {
    await pools.end()
  }
}

/**
 * Checks the rights of the gateway's role, and the template.
 * @throws {Error} if the role lacks a right that the settings need, or BASE_TEMPLATE does not
 *   exist
 */
async function checkRights(sql: Sql, { isolation, baseTemplate }: Config): Promise<void> {
  const [row] = await sql<{ role: string; may_create_roles: boolean; has_template: boolean }[]>`
    select
      rolname as role,
      rolsuper or rolcreaterole as may_create_roles,
      exists (select from pg_database where datname = ${baseTemplate}) as has_template
    from pg_roles where rolname = current_user
  `
  const { role, may_create_roles, has_template } = row!
  if (!has_template) throw new Error(`BASE_TEMPLATE: the database ${baseTemplate} does not exist`)
  if (isolation === 'shared-role' || may_create_roles) return
  throw new Error(
    `The role ${role} may not create the roles that keep the platforms apart: run "alter role ${quoteIdentifier(role)} createrole", or set ISOLATION=shared, with which the functions of all platforms run as ${role} and can reach all databases`,
  )
}

/** Returns whether the server's system tells PostgreSQL that a client has gone while a statement runs. */
async function canCheckClient(sql: Sql): Promise<boolean> {
  try {
    await sql.unsafe("begin; set local client_connection_check_interval = '2s'; commit")
    return true
  } catch {
    await sql.unsafe('rollback')
    return false
  }
}

/**
 * Waits until PostgreSQL answers. Returns its version.
 * @throws {Error} if it does not answer within START_TIMEOUT_MS, refuses the connection, or is
 *   too old
 */
async function waitForPostgres(
  pools: Pools,
  server: Server,
  { startTimeoutMs }: Config,
  log: Log,
  signal: AbortSignal | undefined,
): Promise<string> {
  const giveUpAt = performance.now() + startTimeoutMs
  for (;;) {
    try {
      return await pools.use(server.database, async (sql) => {
        const [row] = await sql<{ server_version: string }[]>`show server_version`
        return checkVersion(row!.server_version)
      })
    } catch (error) {
      const { message, code = message } = error as NodeJS.ErrnoException
      const where = `PostgreSQL at ${describeServer(server)}`
      const refused = refusedByPooler(error)
      if (refused) throw new Error(`${where}: ${refused}`)
      if (!isWorthWaiting(error)) throw new Error(`${where}: ${message}`)
      if (performance.now() > giveUpAt) throw new Error(`${where} does not answer (${code})`)
      const left = Math.ceil((giveUpAt - performance.now()) / 1000)
      log.warn(`${where} does not answer (${code}); the gateway tries again for ${left} s`)
      await sleep(RETRY_EVERY_MS, undefined, { signal })
    }
  }
}

/**
 * Returns whether a later try may succeed. A wrong password, database or certificate will not
 * become right; a server that starts or restarts will answer. Errors that PostgreSQL did not send
 * come from the system (such as ECONNREFUSED), the driver, or TLS. Those of the system and the
 * driver's connection errors are worth a retry; those of TLS are not.
 */
function isWorthWaiting(error: unknown): boolean {
  if (!isConnectionLost(error)) return false
  const { code } = error as { code: string }
  return isPostgresError(error)
    ? !code.startsWith('28')
    : /^(E(?!RR_|PROTO)|CONNECTION_CLOSED|CONNECT_TIMEOUT|NOT_PRIMARY$)/.test(code)
}

function checkVersion(version: string): string {
  if (Number.parseInt(version, 10) >= OLDEST_POSTGRES) return version
  throw new Error(`version ${version} is too old; the gateway needs ${OLDEST_POSTGRES} or newer`)
}

/** Extra connections of the embedded PostgreSQL: its superuser reserve and psql sessions. */
const SPARE_CONNECTIONS = 20

/**
 * Starts the embedded PostgreSQL in DATA_DIR.
 * @param onExit called if it exits without being stopped
 * @throws {Error} as `startEmbedded`
 */
export async function startOwnServer(
  config: Config,
  log: Log,
  onExit: (() => void) | undefined,
): Promise<EmbeddedPostgres> {
  const embedded = await startEmbedded({
    dataDir: config.dataDir,
    settings: { max_connections: `${config.maxTotalConnections + SPARE_CONNECTIONS}` },
    onProgress: (line) => log.info(line),
    onLog: (line) => log.debug(line),
    onExit: ({ code, signal }) => {
      log.error('The embedded PostgreSQL has exited unexpectedly', { code, signal })
      onExit?.()
    },
  })
  await closeOwnServer(embedded, config)
  return embedded
}

/**
 * Revokes CONNECT on the maintenance databases of the embedded server, which only the gateway and
 * the platforms' roles use. Ignores failures, such as a superuser password changed by hand:
 * `prepareIsolation` logs the databases that stay open.
 */
async function closeOwnServer({ superuserUrl }: EmbeddedPostgres, config: Config): Promise<void> {
  const server = parseDatabaseUrl(superuserUrl)
  const pools = new Pools(server, config)
  await pools.use(server.database, closeMaintenance).catch(() => {})
  await pools.end()
}
