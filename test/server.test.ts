import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, connect as openConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream'
import { promisify, stripVTControlCharacters } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { processStart } from '../lib/postgres/embedded/processes.ts'
import { type EmbeddedPostgres, startEmbedded } from '../lib/postgres/embedded.ts'
import { parseDatabaseUrl } from '../lib/postgres/hosts/server.ts'
import {
  createAdminDatabase,
  dropAdminDatabase,
  type Json,
  queryDatabase,
  uniqueName,
} from './helpers/gateway.ts'
import { type Files, textFunction } from './helpers/platforms.ts'
import {
  afterTest,
  eventually,
  freePort,
  GATEWAY_ARGUMENTS,
  type GatewayProcess,
  gatewayEnvironment,
  startProcess,
  startProgram,
  temporaryFolder,
} from './helpers/process.ts'

const run = promisify(execFile)

/** A platform that can be kept busy, and tells when it is. */
const SLEEPER: Files = {
  'functions/sleep.pssql': `
    create or replace function sleep(seconds double precision) returns text language sql
    as $$ select 'slept' from pg_sleep(seconds) $$;`,
  'functions/sleepers.pssql': `
    create or replace function sleepers() returns integer language sql
    as $$ select count(*)::integer from pg_stat_activity
          where datname = current_database() and wait_event = 'PgSleep' $$;`,
}

/** A gateway whose PostgreSQL is the test server, with an administrative database of its own. */
async function startOnTestServer(settings: Record<string, string> = {}): Promise<GatewayProcess> {
  return startProcess({ DATABASE_URL: await adminDatabase(), ...settings })
}

async function adminDatabase(): Promise<string> {
  const url = await createAdminDatabase()
  afterTest(() => dropAdminDatabase(url))
  return url
}

/** A call of `sleep` that PostgreSQL is at work on. */
async function startSleeping(gateway: GatewayProcess, platform: string, seconds: number) {
  const answer = gateway.call(platform, 'sleep', [seconds])
  answer.catch(() => {})
  await eventually('the call sleeps', async () => {
    const { body } = await gateway.call(platform, 'sleepers')
    return body.rows[0].sleepers === 1
  })
  return { answer }
}

/** The code of the error with which a new connection fails. */
async function connectionError(url: string): Promise<string> {
  const { hostname, port } = new URL(url)
  const socket = openConnection(Number(port), hostname)
  try {
    await once(socket, 'connect')
    return 'none'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  } finally {
    socket.destroy()
  }
}

async function timed<T>(work: () => Promise<T>): Promise<{ result: T; ms: number }> {
  const started = performance.now()
  const result = await work()
  return { result, ms: performance.now() - started }
}

function isRunning(pid: number): boolean {
  return processStart(pid) !== undefined
}

describe('with an embedded PostgreSQL', () => {
  let folder: string
  let dataDir: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gateway-data-'))
    // PostgreSQL runs as another user where the tests run as root.
    await chmod(folder, 0o755)
    dataDir = join(folder, 'data')
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  const start = (settings = {}) => startProcess({ DATA_DIR: dataDir, ...settings })

  /** The process id of the PostgreSQL server that works in DATA_DIR. */
  async function postgresPid(): Promise<number | undefined> {
    const file = join(dataDir, 'postgres/data/postmaster.pid')
    return existsSync(file) ? Number.parseInt(await readFile(file, 'utf8'), 10) : undefined
  }

  it('creates DATA_DIR, answers, and on SIGTERM ends with exit code 0 and its PostgreSQL', async () => {
    const gateway = await start()
    expect(
      await gateway.register('shop', { ...SLEEPER, ...textFunction('ping', 'pong') }),
    ).toMatchObject({ status: 200 })
    const postgres = await postgresPid()
    expect(isRunning(postgres!)).toBe(true)
    // Its own databases are closed to the roles of platforms, so that there is nothing to warn of.
    expect(gateway.entries().filter(({ level }) => level === 'warn')).toEqual([])

    gateway.kill('SIGTERM')

    expect(await gateway.exit).toEqual({ code: 0, signal: null })
    expect(isRunning(postgres!)).toBe(false)
    expect(await postgresPid()).toBeUndefined()
    expect(gateway.entries().at(-1)).toMatchObject({ message: 'Stopped' })
  })

  it('has everything again after a restart, and ends on SIGINT as on SIGTERM', async () => {
    const gateway = await start()
    expect(await gateway.call('shop', 'ping')).toMatchObject({ body: { rows: [{ ping: 'pong' }] } })
    const postgres = await postgresPid()

    gateway.kill('SIGINT')

    expect(await gateway.exit).toEqual({ code: 0, signal: null })
    expect(isRunning(postgres!)).toBe(false)
  })

  it('answers a request that runs when SIGTERM comes, and refuses new connections', async () => {
    const gateway = await start()
    const url = await gateway.url()
    const { answer } = await startSleeping(gateway, 'shop', 1.5)

    gateway.kill('SIGTERM')
    await gateway.line('SIGTERM: stopping')

    expect(await connectionError(url)).toBe('ECONNREFUSED')
    expect(await answer).toMatchObject({ status: 200, body: { rows: [{ sleep: 'slept' }] } })
    expect(await gateway.exit).toEqual({ code: 0, signal: null })
    expect(gateway.entries().at(-2)).toMatchObject({ path: '/call', status: 200 })
  })

  it('starts again after SIGKILL, though that leaves its PostgreSQL behind', async () => {
    const killed = await start()
    await killed.url()
    const postgres = await postgresPid()
    killed.kill('SIGKILL')
    await killed.exit
    expect(isRunning(postgres!)).toBe(true)

    const gateway = await start()

    expect(await gateway.call('shop', 'ping')).toMatchObject({ status: 200 })
    expect(isRunning(postgres!)).toBe(false)
  })

  it('ends with exit code 1 when its PostgreSQL ends by itself', async () => {
    const gateway = await start({ RUST_LOG: 'debug' })
    await gateway.url()
    process.kill((await postgresPid())!, 'SIGKILL')

    expect(await gateway.exit).toEqual({ code: 1, signal: null })
    expect(gateway.entries().at(-1)).toMatchObject({
      level: 'error',
      message: 'The embedded PostgreSQL has ended by itself',
    })
    // RUST_LOG counts where LOG_LEVEL is not set: what PostgreSQL says is debug.
    const debug = gateway.entries().filter(({ level }) => level === 'debug')
    expect(debug.map(({ message }) => message).join()).toContain('ready to accept connections')
  })
})

describe('when it is told to stop', () => {
  it('cuts requests that take longer than SHUTDOWN_TIMEOUT_SECS', async () => {
    const gateway = await startOnTestServer({ SHUTDOWN_TIMEOUT_SECS: '1' })
    const platform = uniqueName('cut')
    await gateway.register(platform, SLEEPER)
    const { answer } = await startSleeping(gateway, platform, 25)

    gateway.kill('SIGTERM')
    const { ms } = await timed(() => answer.catch(() => {}))

    await expect(answer).rejects.toThrow('fetch failed')
    expect(ms).toBeGreaterThan(900)
    expect(ms).toBeLessThan(2500)
    expect((await timed(() => gateway.exit)).ms).toBeLessThan(2000)
    expect(await gateway.exit).toEqual({ code: 0, signal: null })
  })

  it('ends at once on a second signal, with another exit code than 0', async () => {
    const gateway = await startOnTestServer()
    const platform = uniqueName('twice')
    await gateway.register(platform, SLEEPER)
    await startSleeping(gateway, platform, 25)

    gateway.kill('SIGTERM')
    await gateway.line('SIGTERM: stopping')
    gateway.kill('SIGTERM')

    const { result, ms } = await timed(() => gateway.exit)
    expect(result).toEqual({ code: 1, signal: null })
    expect(ms).toBeLessThan(1000)
    expect(gateway.entries().at(-1)).toMatchObject({ message: 'SIGTERM again: ending at once' })
  })

  it('ends soon while it waits for PostgreSQL', async () => {
    const gateway = await startProcess({
      DATABASE_URL: `postgres://gateway@127.0.0.1:${await freePort()}/gateway`,
    })
    await gateway.line('trying again')
    gateway.kill('SIGTERM')

    const { result, ms } = await timed(() => gateway.exit)
    expect(result).toEqual({ code: 0, signal: null })
    expect(ms).toBeLessThan(1000)
    expect(gateway.entries().at(-1)).toMatchObject({ message: 'Stopped' })
  })
})

describe('with a setting that is wrong', () => {
  it.each([
    ['GATEWAY_PORT', 'abc'],
    ['ALLOWED_NETWORKS', '10.0.0.0/99'],
    ['MAX_TOTAL_CONNECTIONS', '-1'],
    ['LOG_LEVEL', 'loud'],
    ['DATABASE_URL', 'nonsense'],
    ['DATA_DIR', join(import.meta.filename, 'data')],
  ])('says so in one line and ends with exit code 1: %s=%s', async (name, value) => {
    const gateway = await startProcess({ [name]: value })

    expect(await gateway.exit).toEqual({ code: 1, signal: null })
    expect(gateway.entries()).toEqual([
      { time: expect.any(String), level: 'error', message: expect.stringContaining(name) },
    ])
  })

  it('says that GATEWAY_PORT is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    afterTest(() => other.close())
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    const gateway = await startOnTestServer({ GATEWAY_PORT: `${port}` })

    expect(await gateway.exit).toEqual({ code: 1, signal: null })
    expect(gateway.entries().filter(({ level }) => level === 'error')).toMatchObject([
      { message: `GATEWAY_PORT: ${port} on 127.0.0.1 is taken by another process` },
    ])
  })

  it('reads a .env file in the working folder, which the environment overrides', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, '.env'), 'GATEWAY_PORT=1000000\nLOG_LEVEL=loud\n')
    const gateway = await startProcess({ GATEWAY_PORT: '0' }, folder)

    expect(await gateway.exit).toEqual({ code: 1, signal: null })
    expect(gateway.entries()).toMatchObject([
      { message: expect.stringMatching(/^LOG_LEVEL: "loud"/) },
    ])
  })
})

describe('killed in the middle of a deploy', () => {
  const before: Files = {
    'functions/has_bills.pssql': `
      create or replace function has_bills() returns boolean language sql
      as $$ select to_regclass('bills') is not null $$;`,
  }
  const after: Files = {
    ...before,
    'migrations/001_bills.pssql': 'create table bills (id integer primary key);',
    'migrations/002_slow.pssql': 'select pg_sleep(2);',
  }

  it('leaves a database as it was, and /register goes on after the restart: a new one is made anew', async () => {
    const settings = { DATABASE_URL: await adminDatabase() }
    const killed = await startProcess(settings)
    const [known, fresh] = [uniqueName('known'), uniqueName('fresh')]
    await killed.register(known, before)
    for (const platform of [known, fresh]) killed.register(platform, after).catch(() => {})
    await eventually('both deploys are at their second migration', async () => {
      const rows = await queryDatabase(
        parseDatabaseUrl(settings.DATABASE_URL).database,
        `select from pg_stat_activity
         where datname in ('${known}_main', '${fresh}_main') and wait_event = 'PgSleep'`,
      )
      return rows.length === 2
    })
    killed.kill('SIGKILL')
    await killed.exit

    const gateway = await startProcess(settings)

    expect((await gateway.call(known, 'has_bills')).body.rows).toEqual([{ has_bills: false }])
    expect(await gateway.call(fresh, 'has_bills')).toMatchObject({ status: 404 })
    const answers = await Promise.all(
      [known, fresh].map((platform) => gateway.register(platform, after)),
    )
    expect(answers).toMatchObject([
      { status: 200, body: { migrations_applied: 2 } },
      { status: 200, body: { migrations_applied: 2 } },
    ])
    expect((await gateway.call(fresh, 'has_bills')).body.rows).toEqual([{ has_bills: true }])
  })
})

describe('with a PostgreSQL elsewhere', () => {
  let folder: string
  let port: number
  let password: string
  let server: EmbeddedPostgres | undefined

  const startPostgres = async (settings: Record<string, string> = {}) => {
    server = await startEmbedded({
      dataDir: join(folder, 'data'),
      settings: {
        listen_addresses: '127.0.0.1',
        port: `${port}`,
        fsync: 'off',
        full_page_writes: 'off',
        ...settings,
      },
    })
  }
  const stopPostgres = async () => {
    await server?.stop()
    server = undefined
  }
  const databaseUrl = (query = '', where = `127.0.0.1:${port}`) =>
    `postgres://gateway:${password}@${where}/gateway${query}`

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gateway-postgres-'))
    await chmod(folder, 0o755)
    port = await freePort()
    await startPostgres()
    password = parseDatabaseUrl(server!.url).password
  })
  beforeEach(async () => {
    if (!server) await startPostgres()
  })
  afterAll(async () => {
    await stopPostgres()
    await rm(folder, { recursive: true, force: true })
  })

  it('tries again while it is not there, and gives up after START_TIMEOUT_SECS', async () => {
    const { ms, result: gateway } = await timed(async () => {
      const process = await startProcess({
        DATABASE_URL: databaseUrl('', `127.0.0.1:${await freePort()}`),
        START_TIMEOUT_SECS: '3',
      })
      await process.exit
      return process
    })

    expect(await gateway.exit).toEqual({ code: 1, signal: null })
    expect(ms).toBeGreaterThan(3000)
    expect(ms).toBeLessThan(10_000)
    const lines = gateway.entries()
    expect(lines.at(-1)).toMatchObject({
      level: 'error',
      message: expect.stringMatching(
        /^PostgreSQL at gateway@127\.0\.0\.1:\d+\/gateway does not answer/,
      ),
    })
    expect(lines.length).toBeGreaterThan(1)
    for (const line of lines.slice(0, -1)) {
      expect(line).toMatchObject({
        level: 'warn',
        message: expect.stringContaining('trying again'),
      })
    }
  })

  it('starts as soon as it is there', async () => {
    await stopPostgres()
    const gateway = await startProcess({ DATABASE_URL: databaseUrl() })
    await gateway.line('trying again')
    await startPostgres()

    expect(await gateway.get('/health')).toMatchObject({ status: 200 })
  })

  it('starts as soon as it is there behind a proxy that closes connections before', async () => {
    let isThere = false
    const proxy = createServer((socket) => {
      socket.on('error', () => {})
      if (!isThere) return socket.destroy()
      const upstream = openConnection(port, '127.0.0.1')
      pipeline(socket, upstream, socket, () => {})
    }).listen(0, '127.0.0.1')
    afterTest(() => proxy.close())
    await once(proxy, 'listening')
    const { port: proxyPort } = proxy.address() as AddressInfo
    const gateway = await startProcess({ DATABASE_URL: databaseUrl('', `127.0.0.1:${proxyPort}`) })
    await gateway.line('trying again')
    isThere = true

    expect(await gateway.get('/health')).toMatchObject({ status: 200 })
  })

  it.each([
    ['password', 'password authentication failed', () => databaseUrl().replace(password, 'wrong')],
    [
      'database',
      'database "nowhere" does not exist',
      () => databaseUrl().replace(/gateway$/, 'nowhere'),
    ],
    ['sslmode, where it has no TLS', 'sslmode=require', () => databaseUrl('?sslmode=require')],
  ])('ends at once for a wrong %s', async (_, message, url) => {
    const gateway = await startProcess({ DATABASE_URL: url() })

    expect(await gateway.exit).toEqual({ code: 1, signal: null })
    expect(gateway.entries()).toMatchObject([
      { level: 'error', message: expect.stringContaining(message) },
    ])
  })

  it('answers 503 while it is stopped, and works again when it is back', async () => {
    const gateway = await startProcess({ DATABASE_URL: databaseUrl() })
    const platform = uniqueName('back')
    await gateway.register(platform, textFunction('ping', 'pong'))
    await gateway.call(platform, 'ping')

    await stopPostgres()

    const { result: health, ms } = await timed(() => gateway.get('/health'))
    expect(health).toMatchObject({
      status: 503,
      body: { status: 'unhealthy', postgres_connected: false },
    })
    expect(ms).toBeLessThan(2000)
    const answers: Json[] = [
      await gateway.call(platform, 'ping'),
      await gateway.call(uniqueName('new'), 'ping'),
      await gateway.get(`/admin/databases?platform=${platform}`),
      await gateway.register(platform, textFunction('ping', 'pong')),
      await gateway.register(uniqueName('new'), textFunction('ping', 'pong')),
    ]
    for (const { status, body, headers } of answers) {
      expect({ status, error: body.error }).toEqual({ status: 503, error: 'connection_failed' })
      expect(headers.get('retry-after')).toMatch(/^\d+$/)
    }

    await startPostgres()

    expect(await gateway.call(platform, 'ping')).toMatchObject({ status: 200 })
    expect(await gateway.get('/health')).toMatchObject({ status: 200 })
  })

  it('tells soon that it hangs, and within 2 s of being asked', async () => {
    const gateway = await startProcess({ DATABASE_URL: databaseUrl() })
    const platform = uniqueName('hangs')
    await gateway.register(platform, {
      'functions/processes.pssql': `
        create or replace function processes() returns setof integer language sql
        as $$ select pid from pg_stat_activity $$;`,
    })
    const { rows } = (await gateway.call(platform, 'processes')).body
    const processes = [server!.pid, ...rows.map((row: Json) => row.processes)]
    const signal = (name: NodeJS.Signals) => {
      for (const pid of processes) if (isRunning(pid)) process.kill(pid, name)
    }
    afterTest(() => signal('SIGCONT'))
    expect(await gateway.get('/health')).toMatchObject({ status: 200 })

    signal('SIGSTOP')

    // Until then, PostgreSQL's last answer is one of the last 5 s.
    await eventually('503', async () => (await gateway.get('/health')).status === 503)
    const { result, ms } = await timed(() => gateway.get('/health'))
    expect(result).toMatchObject({ status: 503, body: { status: 'unhealthy' } })
    expect(ms).toBeLessThan(2000)

    signal('SIGCONT')

    expect(await gateway.get('/health')).toMatchObject({ status: 200 })
    expect(await gateway.call(platform, 'processes')).toMatchObject({ status: 200 })
  })

  it('never writes the password of DATABASE_URL', async () => {
    const closed = `127.0.0.1:${await freePort()}`
    const start = (url: string) =>
      startProcess({ DATABASE_URL: url, LOG_LEVEL: 'trace', START_TIMEOUT_SECS: '0' })
    const [gateway, ...others] = await Promise.all([
      start(databaseUrl()),
      start(databaseUrl('', closed)),
      start(databaseUrl('', '127.0.0.1:port')),
      start(databaseUrl().replace('//', '//other')),
    ])
    const platform = uniqueName('secret')
    await gateway.register(platform, {
      'functions/fail.pssql': `
        create or replace function fail() returns void language plpgsql
        as $$ begin raise exception 'no'; end $$;`,
    })
    await gateway.call(platform, 'fail')
    await gateway.register(platform, { 'functions/broken.pssql': 'create function (' })
    gateway.kill('SIGTERM')

    for (const process of [gateway, ...others]) {
      await process.exit
      expect(process.lines().length).toBeGreaterThan(0)
      expect(process.output()).not.toContain(password)
    }
    expect(gateway.output()).toContain('Deploy failed')
  })

  it('is reached through a Unix socket', async () => {
    const { host } = parseDatabaseUrl(server!.url)
    const gateway = await startProcess({
      DATABASE_URL: databaseUrl(`?host=${host}&port=${port}`, ''),
    })
    expect(JSON.parse(await gateway.line('Listening')).server).toBe(`gateway@${host}/gateway`)
    const platform = uniqueName('unix')
    await gateway.register(platform, {
      'functions/peer.pssql': `
        create or replace function peer() returns text language sql
        as $$ select coalesce(inet_client_addr()::text, 'Unix socket') $$;`,
    })

    expect((await gateway.call(platform, 'peer')).body.rows).toEqual([{ peer: 'Unix socket' }])
  })

  describe('that offers TLS', () => {
    const encrypted: Files = {
      'functions/encrypted.pssql': `
        create or replace function encrypted() returns boolean language sql
        as $$ select ssl from pg_stat_ssl where pid = pg_backend_pid() $$;`,
    }

    beforeAll(async () => {
      const { uid, gid } = await stat(join(folder, 'data/postgres/data'))
      await mkdir(join(folder, 'tls'))
      for (const name of ['server', 'other']) {
        const [key, cert] = [join(folder, `tls/${name}.key`), join(folder, `tls/${name}.crt`)]
        await run('openssl', [
          ...[
            'req',
            '-x509',
            '-newkey',
            'ec',
            '-pkeyopt',
            'ec_paramgen_curve:prime256v1',
            '-nodes',
          ],
          ...['-keyout', key, '-out', cert, '-days', '2', '-subj', `/CN=${name}`],
          ...['-addext', 'subjectAltName=IP:127.0.0.1'],
        ])
        await chmod(key, 0o600)
        await chown(key, uid, gid)
      }
      await stopPostgres()
      await startPostgres({
        ssl: 'on',
        ssl_cert_file: join(folder, 'tls/server.crt'),
        ssl_key_file: join(folder, 'tls/server.key'),
      })
    })

    it.each([
      ['require', () => '?sslmode=require'],
      ['verify-full', () => `?sslmode=verify-full&sslrootcert=${folder}/tls/server.crt`],
    ])('is reached encrypted with sslmode=%s', async (_, query) => {
      const gateway = await startProcess({ DATABASE_URL: databaseUrl(query()) })
      const platform = uniqueName('tls')
      await gateway.register(platform, encrypted)

      const { body } = await gateway.call(platform, 'encrypted')
      expect(body.rows).toEqual([{ encrypted: true }])
    })

    it.each([
      ['another root certificate', () => [`${folder}/tls/other.crt`, '127.0.0.1']],
      ['another name', () => [`${folder}/tls/server.crt`, 'localhost']],
    ])('is refused for %s with sslmode=verify-full', async (_, given) => {
      const [root, host] = given()
      const gateway = await startProcess({
        DATABASE_URL: databaseUrl(`?sslmode=verify-full&sslrootcert=${root}`, `${host}:${port}`),
      })

      const { result, ms } = await timed(() => gateway.exit)
      expect(result).toEqual({ code: 1, signal: null })
      expect(ms).toBeLessThan(10_000)
      expect(gateway.entries()).toMatchObject([
        { level: 'error', message: expect.stringMatching(/^PostgreSQL at .*: .*certificate/) },
      ])
    })
  })
})

describe('its log', () => {
  it('is one JSON object a line where it is not a terminal', async () => {
    const gateway = await startOnTestServer()
    const platform = uniqueName('log')
    await gateway.register(platform, SLEEPER)
    await gateway.call(platform, 'sleep', [0])
    await gateway.call(platform, 'missing')
    await gateway.get('/health?verbose=1')
    gateway.kill('SIGTERM')
    await gateway.exit

    const request = {
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      level: 'info',
      ms: expect.any(Number),
      address: '127.0.0.1',
      request_id: expect.stringMatching(/^[\w-]{36}$/),
    }
    const ofPlatform = { ...request, method: 'POST', platform, database: `${platform}_main` }
    const entries = gateway.entries()
    expect(entries.filter(({ path }) => path)).toMatchObject([
      { ...ofPlatform, path: '/register', status: 200 },
      {
        ...ofPlatform,
        path: '/call',
        status: 200,
        function: 'sleep',
        query_ms: expect.any(Number),
      },
      {
        ...ofPlatform,
        path: '/call',
        status: 404,
        function: 'missing',
        error: 'function_not_found',
      },
      { ...request, method: 'GET', path: '/health', status: 200 },
    ])
    expect(entries.find((entry) => 'functions_deployed' in entry)).toMatchObject({
      level: 'info',
      platform,
      database: `${platform}_main`,
      migrations_applied: 0,
      functions_deployed: 2,
      functions_changed: 2,
      functions_dropped: 0,
      seeders_applied: 0,
      ms: expect.any(Number),
      request_id: entries.find(({ path }) => path === '/register').request_id,
    })
  })

  it.each<Record<string, string>>([{ LOG_LEVEL: 'warn', RUST_LOG: 'debug' }, { RUST_LOG: 'warn' }])(
    'has no requests with %j',
    async (levels) => {
      const port = await freePort()
      const gateway = await startOnTestServer({ GATEWAY_PORT: `${port}`, ...levels })
      const request = () => fetch(`http://127.0.0.1:${port}/nowhere`).catch(() => undefined)
      expect((await eventually('it answers', request)).status).toBe(404)
      gateway.kill('SIGTERM')

      expect(await gateway.exit).toEqual({ code: 0, signal: null })
      // What the start warns of is about the server of the tests.
      const others = gateway.entries().filter(({ message }) => !/ from public;$/.test(message))
      expect(others).toEqual([])
    },
  )

  it.runIf(process.platform === 'linux')(
    'is for people in a terminal, where Ctrl-C ends it',
    async () => {
      const port = await freePort()
      const command = [process.execPath, ...GATEWAY_ARGUMENTS].map((word) => `'${word}'`).join(' ')
      const terminal = startProgram('script', ['-qec', `exec ${command}`, '/dev/null'], {
        cwd: await temporaryFolder(),
        env: gatewayEnvironment({ DATABASE_URL: await adminDatabase(), GATEWAY_PORT: `${port}` }),
      })
      await terminal.line('Listening on')
      await fetch(`http://127.0.0.1:${port}/nowhere`, { headers: { 'x-request-id': 'mine' } })
      await terminal.line('/nowhere')
      terminal.type('\x03')

      expect(await terminal.exit).toEqual({ code: 0, signal: null })
      const lines = stripVTControlCharacters(terminal.output()).split(/[\r\n]+/)
      expect(lines).toContainEqual(
        expect.stringMatching(
          /^\d\d:\d\d:\d\d info {2}GET \/nowhere method=GET path=\/nowhere status=404 ms=[\d.]+ address=127\.0\.0\.1 request_id=mine error=not_found$/,
        ),
      )
      expect(lines).toContainEqual(expect.stringMatching(/ Stopped$/))
    },
  )
})
