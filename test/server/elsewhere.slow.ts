import { once } from 'node:events'
import { chmod, chown, mkdir, mkdtemp, rm, stat } from 'node:fs/promises'
import { type AddressInfo, createServer, connect as openConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type EmbeddedPostgres, startEmbedded } from '../../lib/postgres/embedded.ts'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { afterTest } from '../helpers/after-test.ts'
import { type Json, uniqueName } from '../helpers/gateway.ts'
import { type Files, textFunction } from '../helpers/platforms.ts'
import { eventually, freePort, startProcess } from '../helpers/process.ts'

import { isRunning, run, timed } from './setup.ts'

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
        message: expect.stringContaining('tries again'),
      })
    }
  })

  it('starts as soon as it is there', async () => {
    await stopPostgres()
    const gateway = await startProcess({ DATABASE_URL: databaseUrl() })
    await gateway.line('tries again')
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
    await gateway.line('tries again')
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
