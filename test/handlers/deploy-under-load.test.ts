import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  createAdminDatabase,
  dropAdminDatabase,
  type Json,
  startTestGateway,
  type TestGateway,
} from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'

const platform = 'busy'
const DEPLOY_EVERY_MS = 50
const DEPLOYS = 20
const CALLERS = 8

let adminUrl: string
let gateway: TestGateway
/** A second gateway on the same PostgreSQL: it hears of the first one’s deploys a moment later. */
let other: TestGateway

beforeAll(async () => {
  adminUrl = await createAdminDatabase()
  gateway = await startTestGateway({ DATABASE_URL: adminUrl })
  other = await startTestGateway({ DATABASE_URL: adminUrl })
})
afterAll(async () => {
  await other.stop()
  await gateway.stop()
  await dropAdminDatabase(adminUrl)
})

/** Of each version another result: other columns, another type, another default. */
function version(n: number): Files {
  const results = [
    `returns table (id int, version int) language sql stable as $$ select p_id, ${n} $$`,
    `returns table (id int, version bigint, more text) language sql stable as $$ select p_id, ${n}::bigint, 'x' $$`,
    `returns table (version text, id int) language plpgsql as $$ begin return query select '${n}', p_id; end $$`,
  ]
  const args = n % 2 ? 'p_id int' : `p_id int, p_more text default '${n}'`
  return {
    'functions/current.pssql': `create or replace function current(${args}) ${results[n % 3]};`,
    'functions/same.pssql':
      'create or replace function same(p int) returns int language sql as $$ select p $$;',
  }
}

test('functions that change every 50 ms are called through two gateways without one error', async () => {
  expect((await gateway.register(platform, await pack(version(0)))).status).toBe(200)
  let deploying = true
  const failures: Json[] = []
  const seen = new Set<number>()
  let calls = 0
  const caller = async (through: TestGateway, i: number) => {
    while (deploying) {
      const params = i % 2 ? [i] : { p_id: i }
      const { status, body } = await through.call(platform, 'current', params)
      calls++
      const [row] = body.rows ?? []
      if (status === 200 && row.id === i) seen.add(Number(row.version))
      else failures.push({ status, ...body })
    }
  }
  const callers = Array.from({ length: CALLERS }, (_, i) => caller(i % 4 < 2 ? gateway : other, i))
  for (let n = 1; n <= DEPLOYS; n++) {
    const next = new Promise((resolve) => setTimeout(resolve, DEPLOY_EVERY_MS))
    const { status, body } = await gateway.register(platform, await pack(version(n)))
    expect(body).toMatchObject({ status: 'ready', functions_changed: 1 })
    expect(status).toBe(200)
    // Whoever deployed sees it at once, and so do the others.
    for (const through of [gateway, other]) {
      const { body } = await through.call(platform, 'current', [1])
      expect(body.rows).toMatchObject([{ id: 1 }])
      expect(Number(body.rows[0].version)).toBe(n)
    }
    await next
  }
  deploying = false
  await Promise.all(callers)
  expect(failures).toEqual([])
  expect(seen.size).toBeGreaterThan(DEPLOYS / 2)
  expect(calls).toBeGreaterThan(DEPLOYS)
})
