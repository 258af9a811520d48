import { afterAll, beforeAll, expect, test } from 'vitest'
import { type CollectedSpan, type Collector, startCollector } from '../helpers/collector.ts'
import { startTestGateway, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const PARENT = '00f067aa0ba902b7'
const [SERVER, CLIENT, INTERNAL, ERROR] = [2, 3, 1, 2]

let collector: Collector
let gateway: TestGateway
const platform = uniqueName('traced')
beforeAll(async () => {
  collector = await startCollector()
  gateway = await startTestGateway({
    OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/otlp`,
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20abc',
    OTEL_SERVICE_NAME: 'gateway-of-test',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test,service.name=other',
    OTEL_BSP_SCHEDULE_DELAY: '20',
  })
})
afterAll(async () => {
  await gateway.stop()
  await collector.close()
})

const archive = () =>
  pack({
    'migrations/001_notes.pssql': 'create table notes (id int);',
    'functions/all.pssql': `
      create or replace function ping() returns text language sql as $$ select 'pong' $$;
      create or replace function refuse() returns void language plpgsql as
      $$ begin raise exception 'secret value' using errcode = 'P0001'; end $$;`,
  })

/** The spans of a request, when all of them have arrived. */
async function spansOf(id: string): Promise<{ root: CollectedSpan; all: CollectedSpan[] }> {
  const root = await eventually(`the span of ${id}`, () =>
    collector.spans().find(({ attributes }) => attributes['db_gateway.request_id'] === id),
  )
  const all = collector.spans().filter(({ traceId }) => traceId === root.traceId)
  return { root, all }
}
const byName = (spans: CollectedSpan[], name: string) => spans.filter((one) => one.name === name)

test('a deploy has spans of its steps', async () => {
  const form = new FormData()
  form.set('platform', platform)
  form.set('schema', new Blob([(await archive()) as Uint8Array<ArrayBuffer>]), 's.tar.gz')
  const headers = { 'x-request-id': 'deploy' }
  const answer = await fetch(`${gateway.url}/register`, { method: 'POST', body: form, headers })
  expect(answer.status).toBe(200)
  const { root, all } = await spansOf('deploy')
  expect(root.name).toBe('POST /register')
  const [deploy] = byName(all, 'deploy')
  expect(deploy).toMatchObject({
    parentSpanId: root.spanId,
    kind: INTERNAL,
    attributes: {
      'db.system.name': 'postgresql',
      'db.namespace': `${platform}_main`,
      'db_gateway.migrations_applied': 1,
      'db_gateway.unchanged': false,
    },
  })
  const steps = all.filter(({ parentSpanId }) => parentSpanId === deploy!.spanId)
  expect(steps.map(({ name }) => name)).toEqual([
    'connect',
    'lock and read ledger',
    'plan',
    'schemas, extensions, types',
    'migrations',
    'types after migrations',
    'tables',
    'functions, views, triggers',
    'seeders',
    'check',
    'commit',
  ])
  for (const step of steps) {
    expect(step.startNs).toBeGreaterThanOrEqual(deploy!.startNs)
    expect(step.endNs).toBeLessThanOrEqual(deploy!.endNs)
  }
  const line = gateway.logged.find(({ message }) => message.startsWith('Deploy:'))
  expect(line.trace_id).toBe(root.traceId)
})

test('a call in the trace of its caller has spans of its phases, named by the conventions', async () => {
  const headers = {
    'x-request-id': 'call',
    traceparent: `00-${TRACE}-${PARENT}-01`,
    tracestate: 'vendor=1',
    'user-agent': 'test/1',
  }
  await gateway.post('/call', { platform, function: 'ping' }, headers)
  const { root, all } = await spansOf('call')
  const { port } = new URL(gateway.url)
  expect(root).toMatchObject({
    traceId: TRACE,
    parentSpanId: PARENT,
    traceState: 'vendor=1',
    name: 'POST /call',
    kind: SERVER,
    status: {},
    attributes: {
      'http.request.method': 'POST',
      'url.path': '/call',
      'url.scheme': 'http',
      'http.route': '/call',
      'http.response.status_code': 200,
      'server.address': '127.0.0.1',
      'server.port': Number(port),
      'client.address': '127.0.0.1',
      'user_agent.original': 'test/1',
      'db_gateway.platform': platform,
      'db_gateway.function': 'ping',
    },
  })
  const [query] = byName(all, 'SELECT ping')
  expect(query).toMatchObject({
    parentSpanId: root.spanId,
    kind: CLIENT,
    status: {},
    attributes: {
      'db.system.name': 'postgresql',
      'db.namespace': `${platform}_main`,
      'db.operation.name': 'SELECT',
      'db.stored_procedure.name': 'ping',
      'server.port': expect.any(Number),
    },
  })
  const [wait] = byName(all, 'wait for connection')
  const [connect] = byName(all, 'connect')
  expect(wait!.endNs).toBeLessThanOrEqual(connect?.startNs ?? query!.startNs)
  expect(query!.endNs).toBeLessThanOrEqual(root.endNs)
  const line = await eventually('the line', () =>
    gateway.logged.find(({ request_id, path }) => request_id === 'call' && path),
  )
  expect([line.trace_id, line.span_id]).toEqual([TRACE, root.spanId])
})

test('a call that fails says its SQLSTATE, and no values', async () => {
  await gateway.post('/call', { platform, function: 'refuse' }, { 'x-request-id': 'failed' })
  const { root, all } = await spansOf('failed')
  expect(root.traceId).toMatch(/^[0-9a-f]{32}$/)
  expect(root.parentSpanId).toBeUndefined()
  expect(root.attributes).toMatchObject({
    'http.response.status_code': 400,
    'error.type': 'query_failed',
  })
  // Of a server, 4xx is no error of its own.
  expect(root.status).toEqual({})
  expect(byName(all, 'SELECT refuse')[0]).toMatchObject({
    attributes: { 'db.response.status_code': 'P0001', 'error.type': 'P0001' },
    status: { code: ERROR, message: 'P0001' },
  })
  expect(JSON.stringify(collector.requests.map(({ body }) => body))).not.toContain('secret value')
})

test('a fleet has a span of each database', async () => {
  for (const tenantId of ['one', 'two']) {
    await gateway.register(platform, await archive(), tenantId)
  }
  const changed = await pack({
    'migrations/001_notes.pssql': 'create table notes (id int);',
    'functions/all.pssql': `create or replace function ping() returns text language sql
      as $$ select 'pong!' $$;`,
  })
  const form = new FormData()
  form.set('platform', platform)
  form.set('schema', new Blob([changed as Uint8Array<ArrayBuffer>]), 's.tar.gz')
  form.set('allow', 'functions_missing')
  const headers = { 'x-request-id': 'fleet' }
  await fetch(`${gateway.url}/migrate`, { method: 'POST', body: form, headers })
  const { root, all } = await spansOf('fleet')
  const databases = byName(all, 'database of fleet')
  expect(databases.map(({ attributes }) => attributes['db.namespace']).sort()).toEqual([
    `${platform}_main`,
    `${platform}_one`,
    `${platform}_two`,
  ])
  for (const { spanId, parentSpanId } of databases) {
    expect(parentSpanId).toBe(root.spanId)
    const below = all.filter((one) => one.parentSpanId === spanId).map(({ name }) => name)
    expect(below).toEqual(expect.arrayContaining(['wait for turn', 'replay']))
  }
})

test('a trace that its caller does not record has no spans, and its id in the log', async () => {
  const trace = TRACE.replaceAll('4', '5')
  const headers = { 'x-request-id': 'silent', traceparent: `00-${trace}-${PARENT}-00` }
  await gateway.post('/call', { platform, function: 'ping' }, headers)
  const line = await eventually('the line', () =>
    gateway.logged.find(({ request_id, path }) => request_id === 'silent' && path),
  )
  expect(line.trace_id).toBe(trace)
  await gateway.get('/no/such/path', { 'x-request-id': 'after' })
  const { root } = await spansOf('after')
  expect(root).toMatchObject({ name: 'GET', attributes: { 'error.type': 'not_found' } })
  expect(root.attributes['http.route']).toBeUndefined()
  expect(collector.spans().some(({ traceId }) => traceId === trace)).toBe(false)
})

test('the collector is told who sends, where the settings say', () => {
  const { path, headers } = collector.requests.at(-1)!
  expect([path, headers.authorization]).toEqual(['/otlp/v1/traces', 'Bearer abc'])
  expect(collector.resource()).toMatchObject({
    'service.name': 'gateway-of-test',
    'service.version': expect.any(String),
    'service.instance.id': expect.any(String),
    'deployment.environment.name': 'test',
  })
})
