import { rmSync } from 'node:fs'
import { chown, mkdtemp, realpath, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { type Binaries, findBinaries } from './embedded/binaries.ts'
import {
  asArgs,
  createCluster,
  createDataDir,
  type Layout,
  layoutOf,
  readClusterVersion,
  readPasswords,
} from './embedded/cluster.ts'
import { errorCode } from './embedded/files.ts'
import { lockSettings } from './embedded/locks.ts'
import { endOrphans } from './embedded/orphans.ts'
import { releaseOwnership, takeOwnership } from './embedded/owner.ts'
import {
  chooseServerUser,
  findClosedFolder,
  runAs,
  type ServerUser,
  startAs,
} from './embedded/run-as.ts'
import { Server, type ServerExit } from './embedded/server.ts'

/** A running PostgreSQL server that the gateway has started. */
export interface EmbeddedPostgres {
  /** Connection string of the gateway's own (non-superuser) role. */
  url: string
  /** Connection string of the superuser. */
  superuserUrl: string
  /** Version of PostgreSQL, such as `18.4`. */
  version: string
  pid: number
  /** Shuts the server down and rolls open transactions back; resolves when it has ended. */
  stop(): Promise<void>
}

export interface EmbeddedOptions {
  /** Data folder (DATA_DIR); created if it is missing. */
  dataDir: string
  /** Called with a progress line, such as `Starting PostgreSQL 18.4 …`. */
  onProgress?: (line: string) => void
  /** Called with each line of PostgreSQL's log. */
  onLog?: (line: string) => void
  /** Called when the server has ended without `stop()`. */
  onExit?: (info: ServerExit) => void
  /** Server settings that override those of the gateway. */
  settings?: Record<string, string>
}

/** The checked inputs of a start. */
interface Plan {
  layout: Layout
  binaries: Binaries
  version: string
  user: ServerUser | undefined
  socketDir: string
}

const PORT = 5432
const SOCKET_PREFIX = 'db-gateway-'
// The limit of macOS for the path of a socket in bytes; Linux has 107.
const SOCKET_PATH_LIMIT = 103

/**
 * Starts the bundled PostgreSQL on the cluster in the data folder. Creates the cluster on the first
 * start, and first stops a server that a killed gateway has left running.
 *
 * @throws {Error} with one line that says what to do: the data folder is not writable, in use by
 *   another gateway or of another major version; no PostgreSQL is bundled for this platform; or the
 *   server fails to start
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const plan = await prepare(options.dataDir)
  const removeSocketDir = () => rmSync(plan.socketDir, { recursive: true, force: true })
  process.once('exit', removeSocketDir)
  const release = async () => {
    process.off('exit', removeSocketDir)
    removeSocketDir()
    await releaseOwnership(plan.layout.ownerFile, plan.socketDir)
  }
  try {
    await becomeOwner(plan, options)
    await provideCluster(plan, options)
    const passwords = await readPasswords(plan.layout)
    const server = await runServer(plan, options)
    server.ended.then(async (exit) => {
      if (server.stopping) return
      await release()
      options.onExit?.(exit)
    })
    return {
      url: connectionString('gateway', passwords.gateway, plan.socketDir),
      superuserUrl: connectionString('postgres', passwords.postgres, plan.socketDir),
      version: plan.version,
      pid: server.pid,
      stop: () => server.stop().then(release),
    }
  } catch (error) {
    await release()
    throw error
  }
}

async function prepare(dataDir: string): Promise<Plan> {
  const binaries = await findBinaries()
  const { layout, account } = await openDataDir(resolve(dataDir))
  const user = account && {
    ...account,
    closed: await findClosedFolder(account, [binaries.folder, layout.dataDir, socketParent()]),
  }
  const version = await readVersion(binaries, user)
  return { layout, binaries, version, user, socketDir: await createSocketDir(user) }
}

async function openDataDir(path: string): Promise<{ layout: Layout; account?: ServerUser }> {
  const account = await chooseServerUser(layoutOf(path).home)
  try {
    await createDataDir(path, account)
    const layout = layoutOf(await realpath(path))
    await assertOwnFiles(layout)
    return { layout, account }
  } catch (error) {
    throw explainWriteError(error, path)
  }
}

async function assertOwnFiles({ home }: Layout): Promise<void> {
  const uid = process.getuid?.()
  const owner = await stat(home).catch(() => undefined)
  if (uid === 0 || !owner || owner.uid === uid) return
  throw new Error(
    `${home} belongs to another user (uid ${owner.uid}): ` +
      `run the gateway as that user, or set DATA_DIR to another folder`,
  )
}

function explainWriteError(error: unknown, dataDir: string): unknown {
  const code = errorCode(error)
  if (!code) return error
  return new Error(
    `The data folder ${dataDir} cannot be written (${code}): ` +
      `make it writable for the gateway's user, or set DATA_DIR to another folder`,
  )
}

async function readVersion(binaries: Binaries, user: ServerUser | undefined): Promise<string> {
  try {
    const [line = ''] = await runAs(user, binaries.postgres, ['--version'])
    return line.replace(/^.*\) /, '')
  } catch (error) {
    const { message } = error as Error
    if (!user?.closed) {
      throw new Error(
        `The PostgreSQL of ${binaries.package} does not run here (${message}): ` +
          `set DATABASE_URL to a PostgreSQL server`,
      )
    }
    throw new Error(
      `PostgreSQL does not run as root, and ${user.closed} is closed to the user ${user.name} ` +
        `(${message}): set DATA_DIR to a folder elsewhere, or run the gateway as another user`,
    )
  }
}

async function createSocketDir(user: ServerUser | undefined): Promise<string> {
  const parent = socketParent()
  const folder = await mkdtemp(join(parent, SOCKET_PREFIX)).catch((error) => {
    throw new Error(
      `The folder of PostgreSQL's socket cannot be created in ${parent} (${errorCode(error)}): ` +
        `set TMPDIR to a writable folder`,
    )
  })
  if (user) await chown(folder, user.uid, user.gid)
  return folder
}

function socketParent(): string {
  const { length } = join(tmpdir(), `${SOCKET_PREFIX}XXXXXX`, `.s.PGSQL.${PORT}`)
  return length > SOCKET_PATH_LIMIT ? '/tmp' : tmpdir()
}

async function becomeOwner({ layout, socketDir }: Plan, options: EmbeddedOptions): Promise<void> {
  const previous = await takeOwnership(layout.ownerFile, socketDir).catch((error) => {
    throw explainWriteError(error, layout.dataDir)
  })
  await endOrphans(layout.cluster, options.onProgress)
  if (previous && basename(previous.socketDir).startsWith(SOCKET_PREFIX)) {
    await rm(previous.socketDir, { recursive: true, force: true })
  }
}

async function provideCluster(plan: Plan, options: EmbeddedOptions): Promise<void> {
  const { layout, binaries, version, user } = plan
  const found = await readClusterVersion(layout)
  if (found === undefined) {
    options.onProgress?.(`Creating the database cluster in ${layout.home} …`)
    await createCluster(layout, binaries, user, options.settings ?? {}).catch((error) => {
      throw explainWriteError(error, layout.dataDir)
    })
  } else if (found !== version.split('.')[0]) {
    throw new Error(
      `${layout.cluster} was created by PostgreSQL ${found} and this gateway has ${version}: ` +
        `move the databases over with pg_dump, or set DATA_DIR to another folder`,
    )
  }
}

async function runServer(plan: Plan, options: EmbeddedOptions): Promise<Server> {
  const { layout, binaries, version, user, socketDir } = plan
  options.onProgress?.(`Starting PostgreSQL ${version} …`)
  const settings = { ...serverSettings(socketDir), ...options.settings }
  const args = asArgs({ ...lockSettings(Number(settings.max_connections)), ...settings })
  // Detached into its own process group, so that Ctrl-C in a terminal reaches the gateway alone: it
  // finishes its requests and then stops the server.
  const program = startAs(user, binaries.postgres, ['-D', layout.cluster, ...args], true)
  const server = new Server(program, options.onLog)
  await server.ready()
  return server
}

// A socket in libpq's URI form, https://www.postgresql.org/docs/18/libpq-connect.html
function connectionString(role: string, password: string, socketDir: string): string {
  const host = encodeURIComponent(socketDir).replaceAll('%2F', '/')
  return `postgres://${role}:${password}@/${role}?host=${host}&port=${PORT}`
}

function serverSettings(socketDir: string): Record<string, string> {
  return {
    listen_addresses: '',
    unix_socket_directories: socketDir,
    unix_socket_permissions: '0700',
    port: `${PORT}`,
    // The default of MAX_TOTAL_CONNECTIONS is 200. The other 20 are for PostgreSQL's superuser
    // reserve and for psql sessions.
    max_connections: '220',
    log_destination: 'stderr',
    logging_collector: 'off',
    log_timezone: 'UTC',
    timezone: 'UTC',
    lc_messages: 'C',
  }
}
