import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { parseDatabaseUrl } from '../../../lib/postgres/hosts/server.ts'
import { freePort, type Rig, type Service } from '../rig.ts'

const START_TIMEOUT_MS = 10_000

/** The program and its version; undefined where it is not installed. */
export async function findPgbouncer(
  given = 'pgbouncer',
): Promise<{ program: string; version: string } | undefined> {
  for (const program of [given, '/usr/sbin/pgbouncer']) {
    const output = await promisify(execFile)(program, ['--version']).catch(() => undefined)
    if (output) return { program, version: output.stdout.split('\n')[0]! }
  }
  return undefined
}

/**
 * Starts PgBouncer before the rig's PostgreSQL with the gateway's limits. It has no limit over all
 * databases; since all log in as one role, the limit of a role's connections is one.
 */
export async function startPgbouncer(
  rig: Rig,
  program: string,
  { total, perDatabase }: { total: number; perDatabase: number },
): Promise<Service> {
  const server = parseDatabaseUrl(rig.databaseUrl)
  const folder = join(rig.folder, 'pgbouncer')
  const port = await freePort()
  await mkdir(folder)
  const [file, users, log] = ['pgbouncer.ini', 'users.txt', 'log'].map((name) => join(folder, name))
  await writeFile(users!, `"${server.user}" "${server.password}"\n`)
  await writeFile(
    file!,
    `[databases]
* = host=${server.host} port=${server.port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
logfile = ${log}
log_connections = 0
log_disconnections = 0
auth_type = trust
auth_file = ${users}
pool_mode = transaction
max_client_conn = 15000
default_pool_size = ${perDatabase}
max_db_connections = ${perDatabase}
max_user_connections = ${total}
`,
  )
  // It refuses root, and PostgreSQL's socket is open to PostgreSQL's user alone.
  const { uid, gid } = await stat(server.host)
  for (const path of [folder, file!, users!]) await chown(path, uid, gid)
  const isRoot = process.getuid?.() === 0
  const child = spawn(program, ['-q', file!], {
    cwd: folder,
    stdio: 'ignore',
    detached: true,
    ...(isRoot && { uid, gid }),
  })
  const closed = once(child, 'close')
  const stop = async () => {
    child.kill('SIGKILL')
    await closed
  }
  return whenListening(child, port, stop, () => readFile(log!, 'utf8').catch(() => ''))
}

/**
 * Starts another pooler before the rig's PostgreSQL: a program, such as a script, that is told all
 * by its environment (bench/README.md) and listens on 127.0.0.1.
 */
export async function startPooler(
  rig: Rig,
  program: string,
  { total, perDatabase }: { total: number; perDatabase: number },
): Promise<Service> {
  const { host, port: serverPort, user, password } = parseDatabaseUrl(rig.databaseUrl)
  const port = await freePort()
  const child = spawn(program, [], {
    cwd: rig.folder,
    env: {
      ...process.env,
      LISTEN_PORT: `${port}`,
      PGHOST: host,
      PGPORT: `${serverPort}`,
      PGUSER: user,
      PGPASSWORD: password,
      MAX_CONNECTIONS: `${total}`,
      MAX_CONNECTIONS_PER_DATABASE: `${perDatabase}`,
    },
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  })
  const closed = once(child, 'close')
  const stop = async () => {
    // The group of processes that it leads.
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, 'SIGKILL')
    await closed
  }
  return whenListening(child, port, stop, async () => '')
}

async function whenListening(
  child: ChildProcess,
  port: number,
  stop: () => Promise<void>,
  readLog: () => Promise<string>,
): Promise<Service> {
  const giveUpAt = performance.now() + START_TIMEOUT_MS
  while (!(await answers(port))) {
    if (child.exitCode !== null || performance.now() > giveUpAt) {
      await stop()
      throw new Error(`${child.spawnfile} does not start: ${await readLog()}`)
    }
    await sleep(50)
  }
  return { url: `postgres://127.0.0.1:${port}`, port, pid: child.pid!, stop }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
}
