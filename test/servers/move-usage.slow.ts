import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { afterTest } from '../helpers/after-test.ts'
import { findTools } from '../helpers/dumps.ts'
import {
  connectTo,
  createAdminDatabase,
  dropAdminDatabase,
  type Json,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type AlikeServer, startAlikeServer } from '../helpers/major-servers.ts'
import { pack } from '../helpers/platforms.ts'

// What calls have used is counted once, whenever a gateway writes it while the tenant is moved.
// PG_MAJOR=15 has pg_dump and pg_restore of Debian 12.

const hasTools = (await findTools()) !== undefined
const platform = uniqueName('used')
const tenant = { platform, tenant_id: 'north' }
let eu1: AlikeServer
let home: string
let gateways: TestGateway[]
beforeAll(async () => {
  eu1 = await startAlikeServer()
  home = await createAdminDatabase()
  const env = {
    DATABASE_URL: home,
    SERVERS: `eu1=${eu1.uri}`,
    POOL_WAIT_TIMEOUT_SECS: '30',
  }
  gateways = [await startTestGateway(env), await startTestGateway(env)]
  const archive = await pack({
    'functions/f.pssql': 'create function f() returns integer language sql as $$ select 1 $$',
  })
  await gateways[0]!.register(platform, archive, 'north')
})
afterAll(async () => {
  for (const gateway of gateways) await gateway.stop()
  await dropAdminDatabase(home)
  await eu1.remove()
})

describe.runIf(hasTools)('usage of a tenant that is moved', () => {
  test('has each call that was answered, on both gateways', async () => {
    const [gateway, other] = gateways as [TestGateway, TestGateway]
    let isRunning = true
    let answered = 0
    const failed: Json[] = []
    afterTest(() => {
      isRunning = false
    })
    const calls = [gateway, other, other].map(async (at) => {
      for (; isRunning; await sleep(2)) {
        const { status, body } = await at.call(platform, 'f', [], 'north')
        if (status === 200) answered++
        else failed.push(body)
      }
    })
    const usage = async (at: TestGateway, query: string) =>
      (await at.get(`/admin/usage?platform=${platform}${query}`)).body.usage
    const moveTo = async (to: string, from: string) => {
      // The machine may be busy.
      const move = () => gateway.post('/admin/move-tenant', { ...tenant, to, how: 'dump' })
      const moved = async () => (await move()).body.status ?? 'not moved'
      await expect.poll(moved, { timeout: 60_000 }).toBe('moved')
      const drop = { ...tenant, confirm: `${platform}_north`, server: from }
      expect((await other.post('/admin/drop-tenant', drop)).status).toBe(200)
    }
    // What was counted before is written when it has been copied, and before it is deleted here.
    const holder = connectTo(gateway.server.database)
    afterTest(() => holder.end())
    await holder.unsafe('begin; lock table _db_gateway_deployments in share mode')
    const moving = moveTo('eu1', 'main')
    // By another session: one in a transaction sees the same sessions again and again.
    const deleting = async () => {
      const rows = await gateway.query(
        gateway.server.database,
        `select from pg_stat_activity where wait_event_type = 'Lock'
           and datname = current_database() and query like 'delete from "_db_gateway_deployments"%'`,
      )
      return rows.length
    }
    await expect.poll(deleting, { timeout: 60_000 }).toBe(1)
    for (const at of gateways) await usage(at, '')
    await holder.unsafe('commit')
    await moving
    // Each has its gateway write what it has counted.
    const writing = gateways.map(async (at) => {
      for (; isRunning; await sleep(10)) await usage(at, '')
    })
    await moveTo('main', 'eu1')
    await moveTo('eu1', 'main')
    isRunning = false
    await Promise.all([...calls, ...writing])
    expect(failed).toEqual([])
    await usage(other, '')
    const shown = { database: `${platform}_north`, tenant_id: 'north', server: 'eu1' }
    for (const query of ['', '&tenant_id=north'])
      expect(await usage(gateway, query)).toMatchObject([{ ...shown, calls: answered }])
  }, 180_000)
})
