import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findTools } from '../helpers/dumps.ts'
import {
  createAdminDatabase,
  dropAdminDatabase,
  type Json,
  startTestGateway,
  TEST_SECRET,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type AlikeServer, startAlikeServer } from '../helpers/major-servers.ts'
import { pack } from '../helpers/platforms.ts'
import { type GatewayProcess, startProcess } from '../helpers/process.ts'

// Moves whose gateway is killed with SIGKILL at some moment, while another gateway has calls. PG_MAJOR=15
// has pg_dump and pg_restore of Debian 12.

const hasTools = (await findTools()) !== undefined

const FILES = {
  'tables/counter.pssql': 'create table counter (id serial primary key, by text not null)',
  'functions/bump.pssql': `create or replace function bump(p_by text) returns integer language sql
    as $$ insert into counter (by) values (p_by) returning id $$`,
  'functions/total.pssql': `create or replace function total() returns integer language sql stable
    as $$ select count(*)::integer from counter $$`,
}

/** Milliseconds after the beginning of a move at which its gateway is killed. */
const MOMENTS = [300, 500, 700, 900, 1100, 1300, 1600, 2000]

const platform = uniqueName('killed')
const tenant = { platform, tenant_id: 'north' }
const name = `${platform}_north`
let eu1: AlikeServer
let home: string
let gateway: TestGateway
beforeAll(async () => {
  eu1 = await startAlikeServer()
  home = await createAdminDatabase()
  gateway = await startTestGateway({ DATABASE_URL: home, SERVERS: `eu1=${eu1.uri}` })
  await gateway.register(platform, await pack(FILES), 'north')
})
afterAll(async () => {
  await gateway.stop()
  await dropAdminDatabase(home)
  await eu1.remove()
})

const isOn = async (server: string) => {
  const { catalog } = gateway.gateway.servers.named(server)
  const rows = await catalog.use((sql) => sql`select from pg_database where datname = ${name}`)
  return rows.length > 0
}

const movesLeft = () =>
  gateway.gateway.catalog.use((sql) => sql`select phase from _db_gateway_moves`)

describe.runIf(hasTools)('a move whose gateway is killed', () => {
  test('is undone or finished by the other one, and no call fails, is lost or doubled', async () => {
    let isRunning = true
    let done = 0
    const failed: Json[] = []
    const calls = [0, 1, 2].map(async (number) => {
      for (let i = 0; isRunning; i++) {
        const key = { 'idempotency-key': `${number}-${i}` }
        const body = { ...tenant, function: 'bump', params: [`${number} ${i}`] }
        const answer = await gateway.post('/call', body, i % 2 ? key : {})
        if (answer.status === 200) done++
        else failed.push(answer.body)
      }
    })
    let at = 'main'
    for (const ms of MOMENTS) {
      const to = at === 'main' ? 'eu1' : 'main'
      const other: GatewayProcess = await startProcess({
        DATABASE_URL: home,
        GATEWAY_SECRET: TEST_SECRET,
        SERVERS: `eu1=${eu1.uri}`,
      })
      await other.url()
      await other.line('Server eu1 is open')
      const moving = other.post('/admin/move-tenant', { ...tenant, to }).catch(() => {})
      await new Promise((resolve) => setTimeout(resolve, ms))
      other.kill('SIGKILL')
      await Promise.all([other.exit, moving])
      await expect.poll(movesLeft, { timeout: 20_000 }).toHaveLength(0)
      const isMoved = await isOn(to)
      expect(await isOn(at)).toBe(!isMoved)
      if (!isMoved) continue
      const drop = { ...tenant, confirm: name, server: at }
      expect((await gateway.post('/admin/drop-tenant', drop)).status).toBe(200)
      at = to
    }
    isRunning = false
    await Promise.all(calls)
    expect(failed).toEqual([])
    const { body } = await gateway.call(platform, 'total', [], 'north')
    expect(body.rows).toEqual([{ total: done }])
  }, 240_000)
})
