import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { afterTest } from '../helpers/after-test.ts'
import { findTools } from '../helpers/dumps.ts'
import {
  connectTo,
  createAdminDatabase,
  dropAdminDatabase,
  startTestGateway,
  TEST_SECRET,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type AlikeServer, startAlikeServer } from '../helpers/major-servers.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { startProcess } from '../helpers/process.ts'

// Signals to a gateway that moves a tenant. PG_MAJOR=15 has pg_dump and pg_restore of Debian 12.

const hasTools = (await findTools()) !== undefined
const platform = uniqueName('halted')
const tenant = { platform, tenant_id: 'north' }
const name = `${platform}_north`
let eu1: AlikeServer
let home: string
let gateway: TestGateway
beforeAll(async () => {
  eu1 = await startAlikeServer()
  home = await createAdminDatabase()
  gateway = await startTestGateway({ DATABASE_URL: home, SERVERS: `eu1=${eu1.uri}` })
  await gateway.register(platform, await pack(textFunction('f', 'one')), 'north')
})
afterAll(async () => {
  await gateway.stop()
  await dropAdminDatabase(home)
  await eu1.remove()
})

const phases = async () => {
  const rows = await gateway.query(gateway.server.database, 'select phase from _db_gateway_moves')
  return rows.map(({ phase }) => phase)
}

/** Begins a move by another gateway, which waits for a session to end. */
async function beginMove(workers: string) {
  const other = await startProcess({
    DATABASE_URL: home,
    GATEWAY_SECRET: TEST_SECRET,
    SERVERS: `eu1=${eu1.uri}`,
    SHUTDOWN_TIMEOUT_SECS: '6',
    WORKERS: workers,
  })
  await other.url()
  await other.line('Server eu1 is open')
  const session = connectTo(name)
  afterTest(() => session.end())
  await session`select`
  const body = { ...tenant, to: 'eu1', how: 'dump', hold: true }
  const moved = other.post('/admin/move-tenant', body)
  await expect.poll(phases, { timeout: 20_000 }).toEqual(['copying'])
  return { other, moved, session }
}

const isCalled = () =>
  expect
    .poll(async () => (await gateway.call(platform, 'f', [], 'north')).status, { timeout: 10_000 })
    .toBe(200)

describe.runIf(hasTools)('a move whose gateway', () => {
  test('is reloaded goes on; with SIGTERM it is given up after half of its time, and answered', async () => {
    const { other, moved } = await beginMove('1')
    other.kill('SIGHUP')
    await other.line('The settings have not changed')
    expect(await phases()).toEqual(['copying'])
    other.kill('SIGTERM')
    const { status, body } = await moved
    expect([status, body.error]).toEqual([503, 'connection_failed'])
    expect(body.message).toBe('The gateway is stopping')
    expect((await other.exit).code).toBe(0)
    await isCalled()
    expect(await phases()).toEqual([])
    expect(await eu1.databases()).not.toContain(name)
  }, 180_000)

  test('replaces its workers is given up by the worker that goes, and answered', async () => {
    const { other, moved } = await beginMove('2')
    other.kill('SIGUSR2')
    const { status, body } = await moved
    expect([status, body.error]).toEqual([503, 'connection_failed'])
    await isCalled()
    expect(await phases()).toEqual([])
    expect(await eu1.databases()).not.toContain(name)
    expect((await other.get('/ready')).status).toBe(200)
  }, 180_000)
})
