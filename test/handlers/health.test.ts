import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  connectTo,
  type Json,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'
import { openRaw, parseAnswer } from '../helpers/raw-http.ts'

const SLEEPER = {
  'functions/nap.pssql':
    'create function nap(s float8) returns void language sql as $$ select pg_sleep(s) $$;',
}

describe('whether the gateway works', () => {
  let gateway: TestGateway
  let platform: string
  beforeAll(async () => {
    gateway = await startTestGateway({ MAX_TOTAL_CONNECTIONS: '4', TRUSTED_PROXIES: '127.0.0.1' })
    platform = uniqueName('nap')
    await gateway.register(platform, await pack(SLEEPER))
  })
  afterAll(() => gateway.stop())

  test.each([
    ['/live', { status: 'live' }],
    ['/ready', { status: 'ready' }],
  ])('%s is the same for friends and strangers', async (path, body) => {
    for (const address of ['10.0.1.5', '203.0.113.9']) {
      const answer = await gateway.get(path, { 'x-forwarded-for': address })
      expect([answer.status, answer.body]).toEqual([200, body])
      expect(answer.headers.get('content-type')).toMatch(/^application\/json/)
    }
  })

  test('/health has the version of the gateway, for friends', async () => {
    const friend = await gateway.get('/health', { 'x-forwarded-for': '10.0.1.5' })
    expect(friend.body.version).toMatch(/^\d+\.\d+\.\d+/)
    const stranger = await gateway.get('/health', { 'x-forwarded-for': '203.0.113.9' })
    expect(stranger.body).toEqual({ status: 'healthy' })
  })

  test('B7: a gateway whose connections are all busy is healthy and ready, for longer than 5 s', async () => {
    const naps = Array.from({ length: 4 }, () => gateway.call(platform, 'nap', [8]))
    const endsAt = performance.now() + 7000
    const seen = new Set<number>()
    while (performance.now() < endsAt) {
      const answers = await Promise.all(['/health', '/ready'].map((path) => gateway.get(path)))
      for (const { status } of answers) seen.add(status)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    expect([...seen]).toEqual([200])
    await Promise.all(naps)
  })
})

test('while it drains, /ready is 503 and /live and /health are 200', async () => {
  const gateway = await startTestGateway()
  const platform = uniqueName('drain')
  const wait =
    'create function wait() returns void language sql as $$ select pg_advisory_xact_lock(7) $$;'
  await gateway.register(platform, await pack({ 'functions/wait.pssql': wait }))
  const holder = connectTo(`${platform}_main`)
  await holder`select pg_advisory_lock(7)`
  const kept = await Promise.all(['/ready', '/live', '/health'].map(() => openRaw(gateway.url)))
  const waits = gateway.call(platform, 'wait')
  await eventually('it runs', () => gateway.gateway.pools.report().pools.some(({ busy }) => busy))
  const stopped = gateway.stop()
  const statuses: Json[] = []
  for (const [i, path] of ['/ready', '/live', '/health'].entries()) {
    const { socket, closed } = kept[i]!
    socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`)
    const { status, body, headers } = parseAnswer(await closed)
    expect(headers.get('connection')).toBe('close')
    statuses.push([path, status, JSON.parse(body).status])
  }
  expect(statuses).toEqual([
    ['/ready', 503, 'not_ready'],
    ['/live', 200, 'live'],
    ['/health', 200, 'healthy'],
  ])
  await holder.end()
  expect((await waits).status).toBe(200)
  await stopped
})
