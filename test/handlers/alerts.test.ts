import { expect, test } from 'vitest'
import { SIGNATURE_HEADER, sign } from '../../lib/alerts/signature.ts'
import { startTwoGateways } from '../helpers/for-file.ts'
import { type Json, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'
import { startReceiver } from '../helpers/webhook.ts'

const SECRET = 'the-secret-of-the-alerts-of-the-test'
const receiver = await startReceiver()
const { gateway, other, query } = await startTwoGateways({
  WEBHOOK_URL: receiver.url,
  WEBHOOK_SECRET: SECRET,
  MAX_CONNECTIONS_PER_POOL: '2',
  POOL_WAIT_TIMEOUT_SECS: '1',
})
const both = [gateway, other]
const platform = uniqueName('alerts')

/** Waits until no gateway has an alert on its way. */
const quiet = () =>
  eventually('nothing is on its way', () => both.every((one) => alertsOf(one).waiting === 0))
const alertsOf = (one: TestGateway) => one.gateway.alerts.alerts

test('each gateway that starts is told once, signed', async () => {
  for (const one of both) {
    const id = one.gateway.gateways.id
    const { headers, body, path, alert } = await receiver.next(
      'gateway.joined',
      ({ data }) => data.gateway_id === id,
    )
    expect(path).toBe('/hook/of-the-test')
    expect(headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'x-gateway-event': 'gateway.joined',
      'x-gateway-delivery': alert.id,
    })
    const signature = headers[SIGNATURE_HEADER] as string
    const time = Number(/^t=(\d+),v1=[\da-f]{64}$/.exec(signature)?.[1])
    expect(Math.abs(time - Date.now() / 1000)).toBeLessThan(60)
    expect(signature).toBe(sign(body, SECRET, time * 1000))
    expect(alert).toMatchObject({ severity: 'info', dropped: 0, data: { pid: process.pid } })
  }
  await quiet()
  expect(receiver.of('gateway.joined')).toHaveLength(2)
})

test('a deploy is told when it has ended or failed, and not when it changed nothing', async () => {
  const archive = await pack(textFunction('ping', 'pong'))
  await gateway.register(platform, archive)
  const { alert } = await receiver.next('deploy.finished')
  expect(alert).toMatchObject({
    severity: 'info',
    data: { action: 'register', platform, databases: [`${platform}_main`], count: 1 },
  })
  await gateway.register(platform, archive)
  await gateway.register(platform, await pack(textFunction('ping', 'pang')), undefined, {
    dry_run: 'true',
  })
  const wrong = await pack({
    ...textFunction('ping', 'pong'),
    'migrations/001_wrong.pssql': 'create table;',
  })
  for (const one of both) expect((await one.migrate(platform, wrong)).status).toBe(422)
  const failed = (await receiver.next('deploy.failed')).alert
  expect(failed.text).toMatch(/^migrate of .+ failed: /)
  expect(failed).toMatchObject({
    severity: 'warning',
    data: { action: 'migrate', error: 'migration_failed', request_id: expect.any(String) },
  })
  await quiet()
  expect(receiver.of('deploy.finished')).toHaveLength(1)
  // Each gateway tells of its own requests.
  expect(receiver.of('deploy.failed')).toHaveLength(2)
})

test('a tenant whose database takes no connections is told once, and when it does again', async () => {
  const database = `${platform}_main`
  const allow = (is: boolean) => query(`alter database ${database} allow_connections ${is}`)
  const look = () => Promise.all(both.map((one) => one.gateway.alerts.unreachable.look()))
  await allow(false)
  try {
    await look()
    await look()
    const { alert } = await receiver.next('tenant.unreachable')
    expect(alert).toMatchObject({
      severity: 'warning',
      text: `Database ${database} takes no connections: ALLOW_CONNECTIONS is false`,
      data: { database, platform, tenant_id: null },
    })
  } finally {
    await allow(true)
  }
  await quiet()
  await look()
  await receiver.next('tenant.reachable', ({ data }) => data.database === database)
  await quiet()
  expect(receiver.of('tenant.unreachable')).toHaveLength(1)
  expect(receiver.of('tenant.reachable')).toHaveLength(1)
})

test('a tenant that a call cannot reach is told, with the reason', async () => {
  const database = `${platform}_one`
  await gateway.register(platform, await pack(textFunction('ping', 'pong')), 'one')
  await gateway.call(platform, 'ping', [], 'one')
  await query(`alter database ${database} connection limit 0`)
  try {
    await query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${database}'`,
    )
    await eventually('a call fails', async () => {
      const { body } = await gateway.call(platform, 'ping', [], 'one')
      return body.error === 'connection_failed'
    })
    await gateway.gateway.alerts.unreachable.look()
    const { alert } = await receiver.next('tenant.unreachable', ({ text }) => /too many/.test(text))
    expect(alert.data).toMatchObject({ database, platform, tenant_id: 'one' })
  } finally {
    await query(`alter database ${database} connection limit -1`)
  }
  await gateway.gateway.alerts.unreachable.look()
  await eventually('it is told', () => receiver.of('tenant.reachable').length === 2)
})

test('requests that got no connection are told once', async () => {
  const nap = 'create function nap() returns void language sql as $$ select pg_sleep(1.2) $$;'
  await gateway.register(platform, await pack({ 'functions/nap.pssql': nap }), undefined, {
    force: 'true',
  })
  const answers = await Promise.all(Array.from({ length: 6 }, () => gateway.call(platform, 'nap')))
  const refused = answers.filter(({ body }) => body.error === 'pool_exhausted').length
  expect(refused).toBeGreaterThan(0)
  gateway.gateway.alerts.exhausted.look()
  // On a busy machine, requests may lack a connection to the catalog, too.
  const isOfPlatform = ({ data }: Json) => data.databases[0].database === `${platform}_main`
  const { alert } = await receiver.next('pool.exhausted', isOfPlatform)
  expect(alert.data.databases).toMatchObject([{ database: `${platform}_main`, platform }])
  gateway.gateway.alerts.exhausted.look()
  await quiet()
  expect(receiver.of('pool.exhausted').filter(isOfPlatform)).toHaveLength(1)
})

test('of a replica that is gone, and back, one gateway tells', async () => {
  const trouble = { kind: 'silent' as const, what: 'does not answer (ECONNREFUSED)' }
  for (const one of both) one.gateway.outages.begin('db2:5432', 'replica', trouble)
  const { alert } = await receiver.next('replica.gone')
  expect(alert).toMatchObject({
    text: 'Replica db2:5432 gets no calls: it does not answer (ECONNREFUSED)',
    data: { server: 'db2:5432', kind: 'silent' },
  })
  await quiet()
  for (const one of both) one.gateway.outages.end('db2:5432', 'replica')
  await receiver.next('replica.back')
  await quiet()
  expect(
    [receiver.of('replica.gone'), receiver.of('replica.back')].map((all) => all.length),
  ).toEqual([1, 1])
  for (const one of both)
    one.gateway.outages.begin('db3:5432', 'replica', { kind: 'behind', what: 'is 9 s behind' })
  expect((await receiver.next('replica.behind')).alert.data).toMatchObject({ server: 'db3:5432' })
})

test('a certificate that is about to end is told, and not one that was renewed', async () => {
  const { certificate } = gateway.gateway.alerts
  const inDays = (days: number) => new Date(Date.now() + days * 86_400_000)
  certificate.note(inDays(60))
  certificate.note(inDays(10.5))
  certificate.note(inDays(90))
  const { alert } = await receiver.next('certificate.expiring')
  expect(alert.text).toMatch(/ends in 10 days, at /)
  certificate.note(inDays(-1))
  const { alert: ended } = await receiver.next('certificate.expiring', ({ text }) =>
    /ended/.test(text),
  )
  expect(ended.data.days_left).toBeLessThan(0)
  certificate.stop()
})

test('a delivery that fails is tried again, holds up no request, and no log has the address or the secret', async () => {
  receiver.answers.push({ status: 500 }, { status: 429, headers: { 'retry-after': '1' } })
  const before = receiver.received.length
  alertsOf(gateway).tell({ type: 'gateway.left', key: 'x', text: 'tried thrice', data: {} })
  expect((await gateway.get('/health')).status).toBe(200)
  await eventually('it was tried thrice', () => receiver.received.length === before + 3)
  const tries = receiver.received.slice(before)
  expect(new Set(tries.map(({ alert }) => alert.id)).size).toBe(1)
  await quiet()
  const told = gateway.logged.filter(({ message }: Json) => message.startsWith('WEBHOOK_URL'))
  expect(told.map(({ message }: Json) => message)).toEqual([
    'WEBHOOK_URL: an alert could not be delivered: status 500; it is tried again',
    'WEBHOOK_URL: alerts are delivered again',
  ])
  const log = JSON.stringify([gateway.logged, other.logged])
  expect(log).not.toContain('of-the-test')
  expect(log).not.toContain(SECRET)
})

test('POST /admin/test-alert tells what became of one', async () => {
  const ask = () => gateway.post('/admin/test-alert', {})
  const told = { receiver: new URL(receiver.url).host, signed: true }
  expect((await ask()).body).toEqual({ status: 'delivered', ...told })
  receiver.answers.push({ status: 302, headers: { location: receiver.url } }, { status: 503 })
  expect((await ask()).body).toEqual({ status: 'refused', reason: 'a redirect (302)', ...told })
  expect((await ask()).body).toEqual({ status: 'failed', reason: 'status 503', ...told })
  expect(receiver.of('test')).toHaveLength(3)
  const { config } = gateway.gateway
  const { webhookUrl } = config
  config.webhookUrl = undefined
  expect((await ask()).body).toMatchObject({
    error: 'invalid_request',
    message: 'WEBHOOK_URL is not set',
  })
  config.webhookUrl = webhookUrl
})

test('a gateway that goes is told by one that stays', async () => {
  const { id } = other.gateway.gateways
  await other.stop()
  const { alert } = await receiver.next('gateway.left', ({ data }) => data.gateway_id === id)
  expect(alert.gateway.id).toBe(gateway.gateway.gateways.id)
})
