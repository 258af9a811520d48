import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadOf } from '../../lib/start.ts'
import { describeStatus } from '../../lib/systemd/describe-status.ts'
import { type Json, startTestGateway, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { startProcess } from '../helpers/process.ts'
import { type OtherServer, startOtherServer } from '../helpers/servers.ts'
import { startReceiver } from '../helpers/webhook.ts'
import { newClient, samplesOf } from '../helpers/workers.ts'

const platform = uniqueName('state')
const receiver = await startReceiver()

let main: OtherServer
let eu1: OtherServer
let gateway: TestGateway
beforeAll(async () => {
  ;[main, eu1] = await Promise.all([startOtherServer(), startOtherServer()])
  gateway = await startTestGateway({
    DATABASE_URL: main.uri,
    SERVERS: `eu1=${eu1.uri}`,
    WEBHOOK_URL: receiver.url,
  })
  const archive = await pack(textFunction('f', 'one'))
  await gateway.register(platform, archive)
  await gateway.register(platform, archive, 'far', { server: 'eu1' })
})
afterAll(async () => {
  await gateway.stop()
  await Promise.all([main.remove(), eu1.remove()])
})

const health = async () => gateway.get('/health')
const metrics = async () => (await fetch(`${gateway.url}/metrics`)).text()
const until = (work: () => Promise<unknown>) =>
  expect.poll(work, { timeout: 15_000, interval: 200 })

test('the state of all servers is told', async () => {
  await until(async () => (await health()).body.servers[1].databases).toBe(1)
  const { body } = await health()
  expect(body).toMatchObject({
    status: 'healthy',
    servers: [
      { name: 'main', connected: true, databases: 1, gateways: 1, why: null, replicas: [] },
      { name: 'eu1', connected: true, databases: 1, gateways: 1, since: expect.any(String) },
    ],
  })
  const { body: fleet } = await gateway.get(`/admin/fleet?platform=${platform}`)
  expect(fleet).toMatchObject({ servers: ['main', 'eu1'], servers_away: [], count: 2 })
  expect(describeStatus(loadOf(gateway.gateway))).toMatch(/^\d+ of \d+ connections, 0 deploys$/)
})

test('workers tell of the connections and databases of all', async () => {
  const service = await startProcess({
    DATABASE_URL: main.uri,
    SERVERS: `eu1=${eu1.uri}`,
    WORKERS: '2',
    TEMPLATES: 'off',
  })
  const url = await service.url()
  const clients = Array.from({ length: 4 }, () => newClient(url))
  const call = { platform, tenant_id: 'far', function: 'f' }
  for (const client of clients) expect((await client.send('/call', call)).status).toBe(200)
  for (const client of clients) {
    // Each worker has at least the one that listens. One that opens another meanwhile is looked at again.
    await until(async () => {
      const { connections, databases } = (await client.send('/health')).body.servers[1]
      const held = (await samplesOf(url, 'db_gateway_permits_held'))['{server="eu1"}']!
      return { databases, isSum: connections === held && held >= 2 }
    }).toEqual({ databases: 1, isSum: true })
  }
})

test('metrics name the servers, and add calls up', async () => {
  await gateway.call(platform, 'f', [], 'far')
  await gateway.call(platform, 'f')
  const text = await metrics()
  expect(text).toContain('db_gateway_server_up{server="eu1"} 1\n')
  expect(text).toContain('db_gateway_server_databases{server="eu1"} 1\n')
  expect(text).toMatch(/^db_gateway_permits_held\{server="main"\} \d+$/m)
  expect(text).toMatch(/^db_gateway_permits_capacity\{server="eu1"\} \d+$/m)
  expect(text).toContain(`db_gateway_calls_total{platform="${platform}"} 2\n`)
  expect(text).toContain(
    `db_gateway_call_duration_seconds_count{platform="${platform}",function="f"} 2\n`,
  )
  expect(text).toContain(`db_gateway_databases{platform="${platform}",state="synced"} 2\n`)
  expect(text).toMatch(
    new RegExp(`^db_gateway_pool_waiting\\{database="${platform}_far".*server="eu1"\\} 0$`, 'm'),
  )
})

describe('a server that is away', () => {
  test('is told by its name, and leaves the gateway healthy and ready', async () => {
    await eu1.stop()
    const { alert } = await receiver.next('postgres.gone')
    expect(alert).toMatchObject({
      text: expect.stringMatching(/^Server eu1 at /),
      data: { name: 'eu1' },
    })
    await until(async () => (await health()).body.servers[1].connected).toBe(false)
    const { status, body } = await health()
    expect([status, body.status, body.servers[0].connected]).toEqual([200, 'healthy', true])
    expect((await gateway.get('/ready')).status).toBe(200)
    expect(await metrics()).toContain('db_gateway_server_up{server="eu1"} 0\n')
    expect(describeStatus(loadOf(gateway.gateway))).toContain('; away: eu1')
    await eu1.start()
    const back = await receiver.next('postgres.back')
    expect(back.alert.data.name).toBe('eu1')
    await until(async () => (await health()).body.servers[1].connected).toBe(true)
    expect(receiver.of('tenant.unreachable')).toEqual([])
  })

  test('main included: the others go on, and the gateway stays ready', async () => {
    await main.stop()
    await until(async () => (await health()).body.status).toBe('unhealthy')
    expect((await health()).status).toBe(503)
    expect((await gateway.get('/ready')).status).toBe(200)
    expect((await gateway.call(platform, 'f', [], 'far')).body.rows).toEqual([{ f: 'one' }])
    const { body } = await gateway.get(`/admin/tenants?platform=${platform}`)
    expect(body).toMatchObject({ count: 1, servers_away: ['main'] })
    const fleet: Json = (await gateway.get(`/admin/fleet?platform=${platform}`)).body
    expect(fleet).toMatchObject({ count: 1, servers_away: ['main'] })
    await main.start()
    await until(async () => (await health()).body.status).toBe('healthy')
  })
})
