import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { processStart } from '../../../lib/postgres/embedded/processes.ts'
import { chooseServerUser, findClosedFolder, runAs } from '../../../lib/postgres/embedded/run-as.ts'
import { type EmbeddedOptions, startEmbedded } from '../../../lib/postgres/embedded.ts'

const settings = { fsync: 'off', full_page_writes: 'off' }
const isRoot = process.getuid?.() === 0

let parent: string
beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'embedded-test-'))
  await chmod(parent, 0o755)
  // So that what is left behind there is of these tests.
  process.env.TMPDIR = join(parent, 'tmp')
  await mkdir(tmpdir())
})
afterAll(async () => {
  await rm(parent, { recursive: true, force: true })
})

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function start(dataDir: string, options: Partial<EmbeddedOptions> = {}) {
  const server = await startEmbedded({ settings, dataDir, ...options })
  cleanups.push(() => server.stop())
  return server
}

function parse(url: string) {
  const { username, password, pathname, searchParams } = new URL(url.replace('@/', '@localhost/'))
  const host = `${searchParams.get('host')}`
  const port = Number(searchParams.get('port'))
  return { host, port, username, password, database: pathname.slice(1) }
}

function connect(url: string, options: postgres.Options<Record<string, never>> = {}) {
  const sql = postgres({ ...parse(url), max: 1, onnotice: () => undefined, ...options })
  cleanups.push(() => sql.end({ timeout: 1 }))
  return sql
}

async function modeOf(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o777).toString(8)
}

async function socketFolders(): Promise<string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith('db-gateway-'))
}

async function messageOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no error',
    (error: Error) => error.message,
  )
}

async function waitUntil(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 15_000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`Not within 15 s: ${what}`)
    await sleep(20)
  }
}

interface Gateway {
  child: ChildProcess
  /** What its script has printed until now. */
  lines: string[]
}

/** Another process that runs `script`, in which `start` and `dataDir` stand ready. */
function spawnGateway(dataDir: string, script: string): Gateway {
  const module = JSON.stringify(new URL('../../../lib/postgres/embedded.ts', import.meta.url).href)
  const code = `
    import { startEmbedded } from ${module}
    const onProgress = (line) => console.log(line)
    const start = () => startEmbedded({
      dataDir: ${JSON.stringify(dataDir)}, settings: ${JSON.stringify(settings)}, onProgress,
    })
    ${script}`
  const args = ['--import', 'tsx', '--input-type=module', '--eval', code]
  const child = spawn(process.execPath, args, {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  cleanups.push(() => {
    child.kill('SIGKILL')
    // The next test may want its data folder.
    return ended
  })
  const lines: string[] = []
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
  return { child, lines }
}

/** Starts the server in another process and returns both once it is up. */
async function startElsewhere(dataDir: string, script: string) {
  const gateway = spawnGateway(dataDir, script)
  const isUp = () => gateway.lines.some((line) => line.startsWith('{'))
  await waitUntil('the server is up', isUp)
  const { url, pid } = JSON.parse(`${gateway.lines.at(-1)}`) as { url: string; pid: number }
  cleanups.push(() => processStart(pid) && process.kill(pid, 'SIGKILL'))
  return { ...gateway, url, pid, socketDir: parse(url).host }
}

const START_AND_WAIT = `
  process.on('SIGINT', () => console.log('interrupted'))
  console.log(JSON.stringify(await start()))`

describe('a first start', () => {
  it('creates a cluster with a role and a database of the gateway, without a superuser', async () => {
    const progress: string[] = []
    const log: string[] = []
    const server = await start(join(parent, 'first'), {
      onProgress: (line) => progress.push(line),
      onLog: (line) => log.push(line),
    })
    expect(progress).toEqual([
      `Creating the database cluster in ${join(parent, 'first', 'postgres')} …`,
      `Starting PostgreSQL ${server.version} …`,
    ])
    expect(log.join('\n')).toMatch(/ UTC \[\d+\] LOG: {2}database system is ready to accept/)

    const sql = connect(server.url)
    const [row] = await sql`
      select current_user::text as role, rolsuper, rolreplication, rolbypassrls,
        current_database()::text as database, pg_get_userbyid(datdba)::text as owner,
        datlocprovider, datlocale, pg_encoding_to_char(encoding) as encoding,
        current_setting('server_version') as version, current_setting('TimeZone') as zone,
        current_setting('listen_addresses') as addresses,
        current_setting('max_connections')::int as connections
      from pg_roles, pg_database where rolname = current_user and datname = current_database()`
    expect(row).toEqual({
      role: 'gateway',
      rolsuper: false,
      rolreplication: false,
      rolbypassrls: false,
      database: 'gateway',
      owner: 'gateway',
      datlocprovider: 'b',
      datlocale: 'C.UTF-8',
      encoding: 'UTF8',
      version: server.version,
      zone: 'UTC',
      addresses: '',
      connections: 220,
    })
    await sql`create role tenant`
    await sql`create database tenant`
    expect(await messageOf(sql`create role another superuser`)).toMatch(/permission denied/)
  })

  it('lets nobody in without the password', async () => {
    const server = await start(join(parent, 'first'))
    const strangers = ['postgres', 'gateway'].map((username) =>
      connect(server.url, { username, password: 'guess' }),
    )
    for (const sql of strangers) {
      expect(await messageOf(sql`select 1`)).toMatch(/password authentication failed/)
    }
    const text = await readFile(join(parent, 'first', 'postgres', 'passwords.json'), 'utf8')
    const passwords = JSON.parse(text) as { postgres: string; gateway: string }
    expect(passwords.postgres).toHaveLength(43)
    expect(passwords.postgres).not.toBe(passwords.gateway)
    const admin = connect(server.url, { username: 'postgres', password: passwords.postgres })
    const [row] = await admin`
      select split_part(rolpassword, ':', 1) as rounds, rolsuper from pg_authid
      where rolname = current_user`
    expect(row).toEqual({ rounds: 'SCRAM-SHA-256$4096', rolsuper: true })
  })

  it('leaves its files closed to other users', async () => {
    const dataDir = join(parent, 'first')
    const server = await start(dataDir)
    const { host } = parse(server.url)
    expect(await modeOf(dataDir)).toBe(isRoot ? '710' : '700')
    expect(await modeOf(join(dataDir, 'gateway.pid'))).toBe('600')
    expect(await modeOf(join(dataDir, 'postgres'))).toBe('700')
    expect(await modeOf(join(dataDir, 'postgres', 'data'))).toBe('700')
    expect(await modeOf(join(dataDir, 'postgres', 'passwords.json'))).toBe('600')
    expect(await modeOf(host)).toBe('700')
    expect(await modeOf(join(host, '.s.PGSQL.5432'))).toBe('700')
    expect(await readdir(join(dataDir, 'postgres'))).toEqual(['data', 'passwords.json'])
  })

  it('that was killed half way does not disturb the next', async () => {
    const dataDir = join(parent, 'half-way')
    const gateway = spawnGateway(dataDir, 'await start()')
    const creates = () => gateway.lines.some((line) => line.startsWith('Creating'))
    await waitUntil('it creates the cluster', creates)
    await sleep(300)
    gateway.child.kill('SIGKILL')
    await waitUntil('it is gone', () => gateway.child.signalCode !== null)
    expect((await readdir(dataDir)).sort()).toEqual([
      'gateway.pid',
      expect.stringMatching(/^postgres\.new-/),
    ])

    const server = await start(dataDir)
    expect(await connect(server.url)`select 1 as one`).toEqual([{ one: 1 }])
    expect((await readdir(dataDir)).sort()).toEqual(['gateway.pid', 'postgres'])
  })
})

describe('stop', () => {
  it('ends the server at once, leaves nothing behind and keeps the data', async () => {
    const dataDir = join(parent, 'first')
    const exits: unknown[] = []
    const listeners = process.listenerCount('exit')
    const server = await start(dataDir, { onExit: (info) => exits.push(info) })
    const sql = connect(server.url)
    await sql`create table kept (n int)`
    await sql`insert into kept values (1)`
    await sql.unsafe('begin; insert into kept values (2)')

    const begin = performance.now()
    await Promise.all([server.stop(), server.stop()])
    expect(performance.now() - begin).toBeLessThan(10_000)
    expect(processStart(server.pid)).toBeUndefined()
    expect(existsSync(parse(server.url).host)).toBe(false)
    expect(await readdir(dataDir)).toEqual(['postgres'])
    expect(existsSync(join(dataDir, 'postgres', 'data', 'postmaster.pid'))).toBe(false)
    expect(process.listenerCount('exit')).toBe(listeners)
    expect(exits).toEqual([])

    const again = await start(dataDir)
    expect(again.pid).not.toBe(server.pid)
    expect(await connect(again.url)`select n from kept`).toEqual([{ n: 1 }])
  })
})

describe('an end without stop', () => {
  it('is told with its signal, and the server can be started again', async () => {
    const dataDir = join(parent, 'first')
    let told: (info: unknown) => void = () => undefined
    const exit = new Promise((resolve) => {
      told = resolve
    })
    const server = await start(dataDir, { onExit: (info) => told(info) })
    // A busy process of the server that does not notice the end of it.
    const busy = connect(server.url)
    const [backend] = await busy<[{ pid: number }]>`select pg_backend_pid() as pid`
    busy.unsafe('do $$ begin loop end loop; end $$').catch(() => undefined)
    await sleep(100)
    process.kill(server.pid, 'SIGKILL')
    expect(await exit).toEqual({ code: null, signal: 'SIGKILL' })
    expect(existsSync(parse(server.url).host)).toBe(false)
    expect(processStart(backend.pid)).toBeDefined()

    const again = await start(dataDir)
    expect(await connect(again.url)`select 1 as one`).toEqual([{ one: 1 }])
    expect(processStart(backend.pid)).toBeUndefined()
  })

  it('of the gateway takes the server with it', async () => {
    const gateway = await startElsewhere(
      join(parent, 'first'),
      `console.log(JSON.stringify(await start()))
       setTimeout(() => process.exit(1), 200)`,
    )
    await waitUntil('the gateway is gone', () => gateway.child.exitCode !== null)
    await waitUntil('the server is gone', () => processStart(gateway.pid) === undefined)
    expect(existsSync(gateway.socketDir)).toBe(false)
  })
})

describe('two gateways on one data folder', () => {
  it('the second is told which has it, and the first goes on', async () => {
    const dataDir = join(parent, 'first')
    const first = await startElsewhere(dataDir, START_AND_WAIT)
    const before = await socketFolders()
    const message = await messageOf(start(dataDir))
    expect(message).toContain(`in use by the gateway with pid ${first.child.pid} `)
    expect(message).not.toContain('\n')
    expect(await connect(first.url)`select 1 as one`).toEqual([{ one: 1 }])
    expect(before).toContain(basename(first.socketDir))
    expect(await socketFolders()).toEqual(before)
    expect((await readdir(dataDir)).sort()).toEqual(['gateway.pid', 'postgres'])
  })

  it('of one process are refused too', async () => {
    await start(join(parent, 'first'))
    const message = await messageOf(start(join(parent, 'first')))
    expect(message).toContain(`in use by the gateway with pid ${process.pid} `)
  })

  it('the second takes over from one that was killed', async () => {
    const dataDir = join(parent, 'first')
    const killed = await startElsewhere(dataDir, START_AND_WAIT)
    await connect(killed.url)`create table taken_over as select 7 as n`
    killed.child.kill('SIGKILL')
    await waitUntil('the gateway is gone', () => killed.child.signalCode !== null)
    expect(processStart(killed.pid)).toBeDefined()

    const progress: string[] = []
    const server = await start(dataDir, { onProgress: (line) => progress.push(line) })
    expect(progress[0]).toContain(`(pid ${killed.pid})`)
    expect(processStart(killed.pid)).toBeUndefined()
    expect(existsSync(killed.socketDir)).toBe(false)
    expect(await connect(server.url)`select n from taken_over`).toEqual([{ n: 7 }])
  })

  it('a pid that another process has now does not count', async () => {
    const dataDir = join(parent, 'first')
    const start0 = processStart(process.ppid)
    expect(start0).toBeDefined()
    const record = { pid: process.ppid, start: `${start0}0`, socketDir: '/nowhere' }
    await writeFile(join(dataDir, 'gateway.pid'), JSON.stringify(record))
    const server = await start(dataDir)
    expect(server.pid).toBeGreaterThan(0)
    const owner = JSON.parse(await readFile(join(dataDir, 'gateway.pid'), 'utf8'))
    expect(owner).toMatchObject({ pid: process.pid, start: processStart(process.pid) })
  })

  it.runIf(process.platform === 'linux')(
    'nor does the pid of a killed server that another process of its user has now',
    async () => {
      const dataDir = join(parent, 'first')
      const { uid, gid } = await stat(join(dataDir, 'postgres'))
      const other = spawn('sleep', ['60'], { cwd: '/', uid, gid })
      cleanups.push(() => other.kill())
      const file = join(dataDir, 'postgres', 'data', 'postmaster.pid')
      // The first process is of root, whose processes another user may not even signal.
      for (const pid of [other.pid, 1]) {
        await writeFile(file, `${pid}\n`)
        await chown(file, uid, gid)
        const server = await start(dataDir)
        expect(await connect(server.url)`select 1 as one`).toEqual([{ one: 1 }])
        await server.stop()
      }
      expect(other.exitCode ?? other.signalCode).toBeNull()
    },
  )
})

it('Ctrl-C in the terminal of the gateway does not reach the server', async () => {
  const gateway = await startElsewhere(join(parent, 'first'), START_AND_WAIT)
  process.kill(-gateway.child.pid!, 'SIGINT')
  await waitUntil('the gateway is told', () => gateway.lines.includes('interrupted'))
  await sleep(300)
  expect(await connect(gateway.url)`select 1 as one`).toEqual([{ one: 1 }])
})

it.runIf(isRoot)(
  'for root the server is another user, also in a private folder of root',
  async () => {
    const folder = join(parent, 'private')
    await mkdir(folder, { mode: 0o700 })
    for (const dataDir of [join(folder, 'data'), join(parent, 'first')]) {
      const server = await start(dataDir)
      expect(await connect(server.url)`select 1 as one`).toEqual([{ one: 1 }])
      const status = await readFile(`/proc/${server.pid}/status`, 'utf8')
      expect(status).toMatch(/^Uid:\t([1-9]\d*)\t\1\t\1\t\1$/m)
      expect(status).toMatch(/^Groups:\s*$/m)
      // Nothing but passing through where that is needed, and nothing at all elsewhere.
      const capabilities = dataDir.startsWith(folder) ? '4' : '0'
      expect(status).toMatch(new RegExp(`^CapEff:\\t0+${capabilities}$`, 'm'))
    }
    expect(await modeOf(folder)).toBe('700')
  },
)

it.runIf(isRoot)("access(2) too lets the server's user pass through a private folder", async () => {
  const folder = join(parent, 'private-too')
  await mkdir(folder, { mode: 0o700 })
  await writeFile(join(folder, 'file'), '', { mode: 0o600 })
  const account = await chooseServerUser(folder)
  expect(account?.uid).toBeGreaterThan(0)
  const code = `try { fs.accessSync(process.argv[1], fs.constants.R_OK) }
    catch (error) { console.log(error.code); process.exit(1) }`
  const args = ['--eval', code, join(folder, 'file')]
  expect(await messageOf(runAs(account, process.execPath, args))).toContain('EACCES')
  expect(await findClosedFolder(account!, [parent])).toBeUndefined()
  const closed = await findClosedFolder(account!, [parent, folder])
  expect(closed).toBe(folder)
  expect(await runAs({ ...account!, closed }, process.execPath, args)).toEqual([])
})

it('two first starts at once: one of them gets the folder', async () => {
  const dataDir = join(parent, 'at-once')
  const before = await socketFolders()
  const results = await Promise.allSettled([start(dataDir), start(dataDir)])
  expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  const loser = results.find((result) => result.status === 'rejected')
  expect(`${loser?.reason}`).toContain(`in use by the gateway with pid ${process.pid} `)
  expect(await socketFolders()).toHaveLength(before.length + 1)
})

describe('a data folder that cannot be used', () => {
  it('not writable: one line that says what to do', async () => {
    const folder = join(parent, 'closed')
    if (isRoot) {
      await writeFile(folder, 'a file, which also root cannot create a folder in')
    } else {
      await mkdir(folder)
      await chmod(folder, 0o500)
    }
    const message = await messageOf(start(join(folder, 'data')))
    const code = isRoot ? 'ENOTDIR' : 'EACCES'
    expect(message).toBe(
      `The data folder ${join(folder, 'data')} cannot be written (${code}): make it writable for ` +
        `the gateway's user, or set DATA_DIR to another folder`,
    )
  })

  it('of another major version: one line with both versions, and the gateway lets go of it', async () => {
    const dataDir = join(parent, 'first')
    const file = join(dataDir, 'postgres', 'data', 'PG_VERSION')
    const version = await readFile(file, 'utf8')
    await writeFile(file, '17\n')
    cleanups.push(() => writeFile(file, version))
    const message = await messageOf(start(dataDir))
    expect(message).toMatch(/was created by PostgreSQL 17 and this gateway has 18\.\d+: .*pg_dump/)
    expect(await readdir(dataDir)).toEqual(['postgres'])
  })

  it('without its passwords: one line that names the file', async () => {
    const dataDir = join(parent, 'first')
    const file = join(dataDir, 'postgres', 'passwords.json')
    const passwords = await readFile(file, 'utf8')
    await writeFile(file, '')
    cleanups.push(() => writeFile(file, passwords))
    const message = await messageOf(start(dataDir))
    expect(message).toContain(`cannot be read from ${file} (damaged)`)
  })
})

it('a server that does not start: the line of PostgreSQL that says why', async () => {
  const wrong = { ...settings, shared_buffers: 'many' }
  const message = await messageOf(start(join(parent, 'first'), { settings: wrong }))
  expect(message).toBe(
    'PostgreSQL ended while it was starting: ' +
      'FATAL:  invalid value for parameter "shared_buffers": "many"',
  )
})
