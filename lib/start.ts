import { createListener } from './app.ts'
import type { Config } from './config.ts'
import { createGateway, type Gateway } from './gateway.ts'
import { type Listening, startListening } from './listen.ts'
import type { Log } from './log.ts'
import { type EmbeddedPostgres, startEmbedded } from './postgres/embedded.ts'
import { isConnectionLost, isPostgresError } from './postgres/errors.ts'
import { describeServer, parseDatabaseUrl } from './postgres/server.ts'
import { loadRoutes } from './routes.ts'

/** A gateway that answers requests. */
export interface RunningGateway {
  gateway: Gateway
  url: string
  /** Lets the running requests finish, closes all connections, stops its PostgreSQL. */
  stop(): Promise<void>
}

const RETRY_EVERY_MS = 2000
const OLDEST_POSTGRES = 15

/**
 * Starts everything: PostgreSQL (given or embedded), the catalog, the routes, the listener. What
 * was started is stopped again where a later step fails.
 * @throws {Error} with one line that says what is wrong
 */
export async function startGateway(
  config: Config,
  log: Log,
  handlersFolder: string,
  onPostgresExit: () => void = () => {},
): Promise<RunningGateway> {
  const routes = await loadRoutes(handlersFolder)
  let embedded: EmbeddedPostgres | undefined
  let gateway: Gateway | undefined
  let listening: Listening | undefined
  const stop = async () => {
    await listening?.close(config.shutdownTimeoutMs)
    await gateway?.pools.end()
    await embedded?.stop()
  }
  try {
    if (!config.server) {
      embedded = await startEmbedded({
        dataDir: config.dataDir,
        onProgress: (line) => log.info(line),
        onLog: (line) => log.debug(line),
        onExit: ({ code, signal }) => {
          log.error('The embedded PostgreSQL has ended by itself', { code, signal })
          onPostgresExit()
        },
      })
    }
    const server = config.server ?? parseDatabaseUrl(embedded!.url)
    gateway = createGateway(config, server, log)
    const version = await waitForPostgres(gateway)
    await gateway.catalog.prepare()
    listening = await startListening(createListener(gateway, routes), config.host, config.port)
    log.info(`Listening on ${listening.url}`, {
      postgres: version,
      server: embedded ? `embedded in ${config.dataDir}` : describeServer(server),
      routes: routes.length,
    })
    return { gateway, url: listening.url, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** PostgreSQL's version, once it answers. */
async function waitForPostgres({ pools, server, config, log }: Gateway): Promise<string> {
  const giveUpAt = performance.now() + config.startTimeoutMs
  for (;;) {
    try {
      return await pools.use(server.database, async (sql) => {
        const [row] = await sql<{ server_version: string }[]>`show server_version`
        return checkVersion(row!.server_version)
      })
    } catch (error) {
      const { message, code = message } = error as NodeJS.ErrnoException
      const where = `PostgreSQL at ${describeServer(server)}`
      if (!isWorthWaiting(error)) throw new Error(`${where}: ${message}`)
      if (performance.now() > giveUpAt) throw new Error(`${where} does not answer (${code})`)
      const left = Math.ceil((giveUpAt - performance.now()) / 1000)
      log.warn(`${where} does not answer (${code}); trying again for ${left} s`)
      await new Promise((resolve) => setTimeout(resolve, RETRY_EVERY_MS))
    }
  }
}

/** A wrong password or database stays wrong; a server that starts or restarts comes. */
function isWorthWaiting(error: unknown): boolean {
  return isPostgresError(error)
    ? isConnectionLost(error) && !error.code.startsWith('28')
    : isConnectionLost(error)
}

function checkVersion(version: string): string {
  if (Number.parseInt(version, 10) >= OLDEST_POSTGRES) return version
  throw new Error(`version ${version} is too old; the gateway needs ${OLDEST_POSTGRES} or newer`)
}
