import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { inject } from 'vitest'
import { chooseServerUser } from '../../lib/postgres/embedded/run-as.ts'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { afterTest } from './after-test.ts'
import { connectTo } from './gateway.ts'
import { eventually, freePort } from './process.ts'

/** Settings of pgbouncer.ini; those of docs/pgbouncer.md by default. */
export type PgBouncerSettings = Record<string, string>

/** Startup parameters that the gateway sends, and PgBouncer refuses. */
export const IGNORED =
  'IntervalStyle,bytea_output,extra_float_digits,statement_timeout,jit,tcp_keepalives_idle,tcp_keepalives_interval,tcp_keepalives_count'

/** A PgBouncer in front of the server of the tests. */
export interface PgBouncer {
  /** A DATABASE_URL of that server, by way of PgBouncer. */
  through(url: string, query?: string): string
  port: number
  output(): string
  signal(signal: NodeJS.Signals): void
  stop(): Promise<void>
}

/** Why a test with PgBouncer cannot run here; undefined if it can. */
export function whyNoPgBouncer(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter)
  if (!folders.some((folder) => existsSync(join(folder, 'pgbouncer')))) {
    return 'no pgbouncer in PATH: run .ci/pgbouncer'
  }
  return inject('superuserUrl') === undefined ? 'the server has no TEST_SUPERUSER_URL' : undefined
}

/**
 * Starts PgBouncer, which is stopped after the test. It asks the server for the passwords of the roles, as a superuser; with an
 * empty `auth_user`, it knows the role of `databaseUrl` alone, as on a server without a superuser.
 */
export async function startPgBouncer(
  settings: PgBouncerSettings = {},
  listenPort?: number,
): Promise<PgBouncer> {
  const { host, port, ...superuser } = parseDatabaseUrl(inject('superuserUrl')!)
  const { user, password } =
    settings.auth_user === '' ? parseDatabaseUrl(inject('databaseUrl')) : superuser
  const folder = await mkdtemp(join(tmpdir(), 'pgbouncer-'))
  const ownPort = listenPort ?? (await freePort())
  const files = {
    'users.txt': `"${user}" "${password}"\n`,
    'pgbouncer.ini': ini(`host=${host} port=${port}`, {
      listen_addr: '127.0.0.1',
      listen_port: `${ownPort}`,
      unix_socket_dir: '',
      auth_type: 'scram-sha-256',
      auth_file: join(folder, 'users.txt'),
      auth_user: user,
      pool_mode: 'session',
      server_lifetime: '0',
      server_login_retry: '1',
      default_pool_size: '50',
      max_client_conn: '300',
      query_wait_timeout: '10',
      ...settings,
    }),
  }
  // PgBouncer does not run as root.
  const account = await chooseServerUser('/')
  await chmod(folder, 0o755)
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(folder, name), text, { mode: 0o600 })
    if (account) await chown(join(folder, name), account.uid, account.gid)
  }
  let output = ''
  const child = spawn('pgbouncer', [join(folder, 'pgbouncer.ini')], {
    cwd: '/',
    uid: account?.uid,
    gid: account?.gid,
  })
  child.stderr.on('data', (text) => {
    output += text
  })
  const stop = async () => {
    await end(child)
    await rm(folder, { recursive: true, force: true })
  }
  afterTest(stop)
  const through = (url: string, query = 'pooler=session') => {
    const server = parseDatabaseUrl(url)
    const role = `${server.user}:${encodeURIComponent(server.password)}`
    return `postgres://${role}@127.0.0.1:${ownPort}/${server.database}?sslmode=disable&${query}`
  }
  const answers = async () => {
    if (child.exitCode !== null) throw new Error(output)
    const url = through(settings.auth_user === '' ? inject('databaseUrl') : inject('superuserUrl')!)
    const sql = connectTo(parseDatabaseUrl(url).database, 1, url)
    return sql`select 1`
      .then(
        () => true,
        () => false,
      )
      .finally(() => sql.end())
  }
  await eventually('PgBouncer answers', answers)
  return {
    through,
    port: ownPort,
    output: () => output,
    signal: (signal) => child.kill(signal),
    stop,
  }
}

function ini(server: string, settings: PgBouncerSettings): string {
  const given = Object.entries(settings).filter(
    ([name, value]) => value || name === 'unix_socket_dir',
  )
  const lines = given.map(([name, value]) => `${name} = ${value}`)
  return `[databases]\n* = ${server}\n[pgbouncer]\n${lines.join('\n')}\n`
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await ended
}
