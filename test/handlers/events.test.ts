import { beforeAll, describe, expect, test } from 'vitest'
import { EventHub, MAX_STREAMS } from '../../lib/events/hub.ts'
import { EventStream } from '../../lib/events/stream.ts'
import { startTwoGateways } from '../helpers/for-file.ts'
import { type Json, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'
import { store } from '../helpers/stored.ts'

const hidden = uniqueName('hid')
const { gateway, other, query } = await startTwoGateways({
  PLATFORM_NETWORKS: `${hidden}=10.9.9.0/24`,
})

const platform = uniqueName('ev')
const first = await pack(textFunction('ping', 'one'))
const second = await pack(textFunction('ping', 'two'))
const broken = await pack({ 'functions/ping.pssql': 'create function ping() nonsense' })

beforeAll(async () => {
  await eventually('the gateways know each other', () =>
    [gateway, other].every((one) => one.gateway.gateways.alive().length === 2),
  )
  for (const tenant of ['a', 'b']) await gateway.register(platform, first, tenant)
})

interface Listening {
  events: { name: string; data: Json }[]
  text(): string
  /** Waits for an event that fits. */
  next(name: string, fits?: (data: Json) => boolean): Promise<Json>
  isEnded(): boolean
  close(): void
}

/** Opens a stream of events. */
async function listen(to: TestGateway = gateway): Promise<Listening> {
  const abort = new AbortController()
  const response = await fetch(`${to.url}/admin/events`, { signal: abort.signal })
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  const events: Listening['events'] = []
  let text = ''
  let isEnded = false
  const read = async () => {
    let rest = ''
    for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
      text += piece
      const parts = (rest + piece).split('\n\n')
      rest = parts.pop()!
      for (const part of parts) {
        const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(part) ?? []
        if (name) events.push({ name, data: JSON.parse(data!) })
      }
    }
  }
  read()
    .catch(() => {})
    .finally(() => {
      isEnded = true
    })
  return {
    events,
    text: () => text,
    isEnded: () => isEnded,
    next: (name, fits = () => true) =>
      eventually(`an event ${name}`, () => {
        const at = events.findIndex((one) => one.name === name && fits(one.data))
        return at < 0 ? undefined : events.splice(at, 1)[0]!.data
      }),
    close: () => abort.abort(),
  }
}

describe('GET /admin/events', () => {
  test('begins with an overview, and has another where something changes', async () => {
    const stream = await listen()
    const overview = await stream.next('overview')
    expect(stream.text()).toMatch(/^retry: 2000\n\n/)
    expect(overview).toMatchObject({
      at: expect.any(String),
      calls_per_s: 0,
      errors_per_s: 0,
      connections: {
        open: expect.any(Number),
        busy: expect.any(Number),
        idle: expect.any(Number),
        waiting: 0,
        capacity: expect.any(Number),
      },
      deploys_running: 0,
      gateways: [expect.anything(), expect.anything()],
      replicas: [],
      postgres: { reachable: true, since: expect.any(String) },
      event_loop_ms: 0,
    })
    await gateway.call(platform, 'no_such', [], 'a')
    // A call begins and ends, perhaps in two seconds.
    for (const rate of ['calls_per_s', 'errors_per_s']) {
      await eventually(rate, () => stream.events.some(({ data }) => data[rate] > 0))
    }
    stream.close()
  })

  test('tells each gateway of deploys, failures, labels and the audit trail', async () => {
    const own = await listen()
    const far = await listen(other)
    // The gateways tell each other that they have listeners.
    await eventually('each knows of the other', () =>
      [gateway, other].every((one) => one.gateway.events.isHeardElsewhere),
    )
    await gateway.migrate(platform, second)
    for (const { next } of [own, far]) {
      expect(await next('job', (job) => job.state === 'completed')).toMatchObject({
        platform,
        id: expect.any(String),
        dry_run: false,
        done: 2,
        total: 2,
        running: [],
        failures: [],
      })
      expect(await next('fleet')).toMatchObject({ platform, version: expect.any(Number) })
      expect(await next('audit', (one) => one.status === 200)).toMatchObject({
        action: 'migrate',
        platform,
        databases: [`${platform}_a`, `${platform}_b`],
      })
    }
    await gateway.migrate(platform, broken)
    for (const { next } of [own, far]) {
      const job = await next('job', ({ state }) => state === 'failed')
      expect(job.failures[0]).toMatchObject({
        database: expect.stringContaining(platform),
        code: 'function_deploy_failed',
      })
      await next('fleet')
    }
    await gateway.post('/admin/label-tenant', { platform, tenant_id: 'a', labels: { plan: 'pro' } })
    for (const { next } of [own, far]) await next('fleet')
    own.close()
    far.close()
  })

  test('tells of a /v2/migrate-all, too', async () => {
    const stored = uniqueName('ev')
    const ids = { schema_name: 'lab', uuid: 'a' }
    await gateway.register(stored, first, undefined, ids)
    await store(gateway, stored, 'lab', textFunction('ping', 'two'))
    const stream = await listen()
    await gateway.post('/v2/migrate-all', { platform: stored, schema_name: 'lab' })
    const job = await stream.next('job', ({ state }) => state === 'completed')
    expect(job).toMatchObject({ platform: stored, done: 1, total: 1, failures: [] })
    stream.close()
  })

  test('begins with the jobs of other gateways that run, not with those whose end was not told', async () => {
    const { events, gateways } = gateway.gateway
    const job = (id: string, state: string) =>
      ({ platform, id, state, done: 0, total: 1, running: [], failures: [] }) as never
    const first = await listen(other)
    await eventually('the stream is known', () => events.isHeardElsewhere)
    events.noteJob(job('runs', 'running'))
    const data = job('ended', 'running')
    const body = { name: 'job', key: 'job ended', platform, data }
    const news = { change: 'TELL', from: gateways.id, kind: 'events', body }
    await query(`select pg_notify('_db_gateway', '${JSON.stringify(news)}')`)
    await first.next('job', ({ id }) => id === 'runs')
    await first.next('job', ({ id }) => id === 'ended')
    first.close()
    await eventually('nobody listens', () => other.gateway.events.streams === 0)
    const second = await listen(other)
    await second.next('job', ({ id }) => id === 'runs')
    expect(second.text()).not.toContain('"id":"ended"')
    // 9,000 bytes of messages, where a notification has 8,000.
    const failure = { database: 'a', tenant_id: null, code: 'c', message: '漢'.repeat(300) }
    const failures = Array.from({ length: 10 }, () => failure)
    const failed = { ...(job('runs', 'failed') as object), failures }
    events.noteJob(failed as never)
    await second.next('job', ({ state }) => state === 'failed')
    second.close()
  })

  test('has nothing of platforms that the client may not name', async () => {
    const stream = await listen()
    gateway.gateway.events.noteFleet(hidden)
    gateway.gateway.events.noteFleet(platform)
    await stream.next('fleet', (one) => one.platform === platform)
    expect(stream.text()).not.toContain(hidden)
    stream.close()
    await eventually('nobody listens', () => gateway.gateway.events.streams === 0)
  })

  test(`is 503 beyond ${MAX_STREAMS} streams`, async () => {
    const all = await Promise.all(Array.from({ length: MAX_STREAMS }, () => listen(other)))
    expect((await other.get('/admin/events')).body).toMatchObject({ error: 'pool_exhausted' })
    for (const one of all) one.close()
    await eventually('they are free again', () => other.gateway.events.streams === 0)
  })

  test('ends when the gateway stops', async () => {
    const stream = await listen(other)
    await stream.next('overview')
    other.gateway.events.close()
    await eventually('it has ended', () => stream.isEnded())
    expect((await other.get('/admin/events')).status).toBe(503)
  })
})

describe('the places', () => {
  function newHub(longestMs?: number, maxStreams?: number) {
    const hub = new EventHub({
      look: async () => [],
      begin: () => [],
      onHeard: () => {},
      log: { debug: () => {} },
      ...(longestMs !== undefined && { longestMs }),
      ...(maxStreams !== undefined && { maxStreams }),
    })
    const ended: string[] = []
    let count = 0
    const open = (address: string) => {
      const name = `${address} ${count++}`
      let close: (() => void) | undefined
      const sink = {
        write: () => {},
        buffered: 0,
        end: () => {
          ended.push(name)
          close?.()
        },
        destroy: () => {},
      }
      close = hub.open(() => sink, { address, mayName: undefined })
    }
    return { hub, open, ended }
  }

  test('are shared: the oldest of the address with the most goes for one with fewer', () => {
    const { hub, open, ended } = newHub()
    for (let i = 0; i < MAX_STREAMS; i++) open('10.0.0.1')
    expect(() => open('10.0.0.1')).toThrow(`${MAX_STREAMS} streams`)
    for (let i = 0; i < MAX_STREAMS / 2; i++) open('10.0.0.2')
    expect(ended).toEqual(Array.from({ length: MAX_STREAMS / 2 }, (_, i) => `10.0.0.1 ${i}`))
    for (const address of ['10.0.0.1', '10.0.0.2']) expect(() => open(address)).toThrow()
    open('10.0.0.3')
    expect(hub.size).toBe(MAX_STREAMS)
    hub.close()
  })

  test('of one of several workers are its part', () => {
    const { hub, open } = newHub(undefined, 13)
    for (let i = 0; i < 13; i++) open('10.0.0.1')
    expect(() => open('10.0.0.1')).toThrow('13 streams of events are open already')
    hub.close()
  })

  test('end after their time', async () => {
    const { hub, open, ended } = newHub(500)
    open('10.0.0.1')
    await eventually('it has ended', () => hub.size === 0)
    expect(ended).toEqual(['10.0.0.1 0'])
    hub.close()
  })
})

describe('a slow reader', () => {
  /** A client that takes nothing while `isSlow`. */
  function slowClient() {
    const client = { text: '', isSlow: false, isCut: false }
    const sink = {
      write: (text: string) => {
        client.text += text
      },
      get buffered() {
        return client.isSlow ? 1e6 : 0
      },
      end: () => {},
      destroy: () => {
        client.isCut = true
      },
    }
    return { client, stream: new EventStream(sink, { address: '', mayName: undefined }) }
  }
  const fleet = (name: string, version: number) =>
    ({ name: 'fleet', key: name, platform: name, data: { name, version } }) as const

  test('loses all but the last change of each thing, and at most a thousand wait', () => {
    const { client, stream } = slowClient()
    client.isSlow = true
    for (let i = 0; i < 5000; i++) {
      stream.add(fleet('one', i))
      stream.flush()
    }
    expect(client.text).toBe('retry: 2000\n\n')
    client.isSlow = false
    stream.flush()
    expect(client.text.match(/event:/g)).toHaveLength(1)
    expect(client.text).toContain('"version":4999')
    client.text = ''
    for (let i = 0; i < 5000; i++) stream.add(fleet(`p${i}`, i))
    for (let i = 0; i < 10; i++) stream.flush()
    expect(client.text.match(/event:/g)).toHaveLength(1000)
    expect(client.text).toContain('"p4999"')
  })
})
