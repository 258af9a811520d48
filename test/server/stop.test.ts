import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import { afterTest } from '../helpers/after-test.ts'
import { type Json, schemaForm, uniqueName } from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'
import {
  eventually,
  freePort,
  GATEWAY_ARGUMENTS,
  gatewayEnvironment,
  startProcess,
  startProgram,
  temporaryFolder,
} from '../helpers/process.ts'

import { adminDatabase, SLEEPER, startOnTestServer, startSleeping, timed } from './setup.ts'

/** A /migrate of five databases, each of which takes 0.6 s, during which the gateway is stopped. */
async function migrateAndStop(settings: Record<string, string>) {
  const gateway = await startOnTestServer({ MIGRATE_CONCURRENCY: '1', ...settings })
  const platform = uniqueName('fleet')
  const url = await gateway.url()
  for (const tenant of [undefined, ...'abcd']) {
    const body = schemaForm(platform, await pack(SLEEPER), tenant)
    expect(await fetch(`${url}/register`, { method: 'POST', body })).toMatchObject({ status: 200 })
  }
  const slow = { ...SLEEPER, 'migrations/001_slow.sql': 'select pg_sleep(0.6);' }
  const form = schemaForm(platform, await pack(slow))
  const answer = fetch(`${url}/migrate`, { method: 'POST', body: form }).then(
    async (response): Promise<{ status: number; body: Json }> => ({
      status: response.status,
      body: await response.json(),
    }),
  )
  await eventually('the first database is done', () =>
    gateway.entries().some((one) => one.migrations_applied === 1),
  )
  gateway.kill('SIGTERM')
  return { gateway, answer }
}

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

  it('takes the Ctrl-C that npm hands on as the one of the terminal', async () => {
    const gateway = await startOnTestServer()
    await gateway.url()
    gateway.kill('SIGINT')
    gateway.kill('SIGINT')
    await sleep(2)
    gateway.kill('SIGINT')
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
    expect(gateway.entries().at(-1)).toMatchObject({ message: 'SIGTERM again: exiting at once' })
  })

  it('goes on for SHUTDOWN_DELAY_SECS, with /ready 503, and then closes its listener', async () => {
    const gateway = await startOnTestServer({ SHUTDOWN_DELAY_SECS: '2' })
    const platform = uniqueName('retired')
    await gateway.register(platform, SLEEPER)

    gateway.kill('SIGTERM')
    await gateway.line('SIGTERM: stopping')
    const { status, headers, body } = await gateway.get('/ready')
    expect([status, body, headers.get('connection')]).toEqual([
      503,
      { status: 'not_ready' },
      'close',
    ])
    const answers: (number | undefined)[] = []
    await timed(async () => {
      for (let last: number | undefined = 200; last !== undefined; ) {
        const answer = await gateway.call(platform, 'sleep', [0.1]).catch(() => undefined)
        last = answer?.status
        answers.push(last)
      }
    }).then(({ ms }) => expect(ms).toBeGreaterThan(1500))
    expect(new Set(answers)).toEqual(new Set([200, undefined]))
    expect(await gateway.exit).toEqual({ code: 0, signal: null })
  })

  it('waits for a load balancer where TRUSTED_PROXIES is set; a second signal ends that', async () => {
    const gateway = await startOnTestServer({ TRUSTED_PROXIES: '127.0.0.1' })
    await gateway.url()
    gateway.kill('SIGTERM')
    await gateway.line('SIGTERM: stopping')
    expect((await gateway.get('/live')).status).toBe(200)
    gateway.kill('SIGTERM')
    const { result, ms } = await timed(() => gateway.exit)
    expect(result).toEqual({ code: 1, signal: null })
    expect(ms).toBeLessThan(1500)
  })

  it('begins with no further database of a fleet once half of SHUTDOWN_TIMEOUT_SECS is over', async () => {
    const { gateway, answer } = await migrateAndStop({ SHUTDOWN_TIMEOUT_SECS: '2' })
    const { status, body } = await answer
    expect([status, body.error]).toEqual([503, 'connection_failed'])
    // One was done before, and at least one began after the signal.
    expect(body.databases_updated.length).toBeGreaterThan(1)
    expect(body.not_started.length).toBeGreaterThan(0)
    expect(body.failed).toEqual([])
    expect(await gateway.exit).toEqual({ code: 0, signal: null })
  })

  it('ends soon while it waits for PostgreSQL', async () => {
    const gateway = await startProcess({
      DATABASE_URL: `postgres://gateway@127.0.0.1:${await freePort()}/gateway`,
    })
    await gateway.line('tries again')
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
