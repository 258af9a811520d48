import { randomBytes } from 'node:crypto'
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import type { Binaries } from './binaries.ts'
import { errorCode, isThere } from './files.ts'
import { runAs, type ServerUser } from './run-as.ts'

/** The paths in a data folder. */
export interface Layout {
  dataDir: string
  /** Record of the gateway that uses the folder. */
  ownerFile: string
  /** Folder of the cluster and of its passwords. */
  home: string
  cluster: string
  passwords: string
}

/** Passwords of the cluster's superuser and of the gateway's role. */
export interface Passwords {
  postgres: string
  gateway: string
}

/** Returns the paths in a data folder. */
export function layoutOf(dataDir: string): Layout {
  const home = join(dataDir, 'postgres')
  return { dataDir, ownerFile: join(dataDir, 'gateway.pid'), home, ...layoutOfHome(home) }
}

function layoutOfHome(home: string): { cluster: string; passwords: string } {
  return { cluster: join(home, 'data'), passwords: join(home, 'passwords.json') }
}

/** Creates the data folder if it is missing, accessible to the gateway and PostgreSQL only. */
export async function createDataDir(dataDir: string, user?: ServerUser): Promise<void> {
  const created = await mkdir(dataDir, { recursive: true })
  if (!created) return
  await chmod(dataDir, user ? 0o710 : 0o700)
  if (user) await chown(dataDir, 0, user.gid)
}

/** Returns the major version that created the cluster, such as `18`; undefined if there is none. */
export async function readClusterVersion(layout: Layout): Promise<string | undefined> {
  const file = join(layout.cluster, 'PG_VERSION')
  return (await isThere(file)) ? (await readFile(file, 'utf8')).trim() : undefined
}

/**
 * Reads the passwords of an existing cluster.
 * @throws {Error} if the file is missing, not readable or damaged
 */
export async function readPasswords(layout: Layout): Promise<Passwords> {
  try {
    const { postgres, gateway } = JSON.parse(await readFile(layout.passwords, 'utf8')) as Passwords
    if (typeof postgres !== 'string' || typeof gateway !== 'string') throw new Error('incomplete')
    return { postgres, gateway }
  } catch (error) {
    throw new Error(
      `The passwords of the database cluster cannot be read from ${layout.passwords} ` +
        `(${errorCode(error) ?? 'damaged'}): restore that file, or set DATA_DIR to another folder`,
    )
  }
}

/**
 * Creates the cluster with the gateway's role and database.
 * @throws {Error} with PostgreSQL's message if initdb or PostgreSQL fails
 */
export async function createCluster(
  layout: Layout,
  binaries: Binaries,
  user: ServerUser | undefined,
  settings: Record<string, string>,
): Promise<void> {
  await removeUnfinished(layout)
  // A rename makes `home` appear whole: an interrupted creation leaves only the draft behind.
  const draft = await mkdtemp(`${layout.home}.new-`)
  try {
    await fillHome(draft, binaries, user, settings)
    await rename(draft, layout.home)
    await sync(layout.dataDir)
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

async function removeUnfinished(layout: Layout): Promise<void> {
  for (const name of await readdir(layout.dataDir)) {
    if (!name.startsWith('postgres.new-')) continue
    await rm(join(layout.dataDir, name), { recursive: true, force: true, maxRetries: 5 })
  }
}

async function fillHome(
  home: string,
  binaries: Binaries,
  user: ServerUser | undefined,
  settings: Record<string, string>,
): Promise<void> {
  const { cluster, passwords } = layoutOfHome(home)
  const pwfile = join(home, 'pwfile')
  const secrets: Passwords = { postgres: randomPassword(), gateway: randomPassword() }
  await writeFile(passwords, `${JSON.stringify(secrets)}\n`, { mode: 0o600, flush: true })
  await writeFile(pwfile, `${secrets.postgres}\n`, { mode: 0o600 })
  if (user) {
    await chown(pwfile, user.uid, user.gid)
    await chown(home, user.uid, user.gid)
  }
  await runInitdb(cluster, pwfile, binaries, user, settings)
  await rm(pwfile)
  await createGatewayRole(cluster, secrets.gateway, binaries, user, settings)
}

function randomPassword(): string {
  return randomBytes(32).toString('base64url')
}

async function runInitdb(
  cluster: string,
  pwfile: string,
  binaries: Binaries,
  user: ServerUser | undefined,
  settings: Record<string, string>,
): Promise<void> {
  const args = [
    ...['-D', cluster, '--username=postgres', `--pwfile=${pwfile}`, '--auth=scram-sha-256'],
    // C.UTF-8 sorts by code point: no update of the system's libraries can corrupt an index.
    ...['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
    ...['--no-instructions', ...(settings.fsync === 'off' ? ['--no-sync'] : [])],
  ]
  await runAs(user, binaries.initdb, args).catch((error: Error) => {
    throw new Error(`The database cluster cannot be created: ${error.message}`)
  })
}

async function createGatewayRole(
  cluster: string,
  password: string,
  binaries: Binaries,
  user: ServerUser | undefined,
  settings: Record<string, string>,
): Promise<void> {
  // Single-user mode: no client can connect before the gateway's role exists.
  // https://www.postgresql.org/docs/18/app-postgres.html#APP-POSTGRES-SINGLE-USER
  const args = ['--single', '-D', cluster, ...asArgs({ ...settings, exit_on_error: 'on' })]
  const statements = [
    // SCRAM iterations slow the guessing of weak passwords. This password is a random key of 256
    // bits: more iterations would add no security and would slow each log-in.
    'SET scram_iterations = 1',
    `CREATE ROLE gateway LOGIN CREATEDB CREATEROLE PASSWORD '${password}'`,
    'CREATE DATABASE gateway OWNER gateway',
  ]
  const input = statements.map((statement) => `${statement}\n`).join('')
  await runAs(user, binaries.postgres, [...args, 'postgres'], input).catch((error: Error) => {
    throw new Error(`The gateway's own role cannot be created: ${error.message}`)
  })
}

/** Returns the command-line arguments of `postgres` for these settings. */
export function asArgs(settings: Record<string, string>): string[] {
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}

async function sync(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  await handle.sync().finally(() => handle.close())
}
