import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestGateway, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'

const noisy = uniqueName('noisy')
const quiet = uniqueName('quiet')
let gateway: TestGateway

const archive = await pack({
  'functions/nap.pssql': `
    create or replace function nap(p_seconds float8) returns text language sql
    as $$ select 'slept' from pg_sleep(p_seconds) $$;`,
})

beforeAll(async () => {
  gateway = await startTestGateway({
    MAX_TOTAL_CONNECTIONS: '12',
    MAX_CONNECTIONS_PER_POOL: '4',
    MAX_CONNECTIONS_PER_PLATFORM: '6',
    MAX_QUEUE_PER_DATABASE: '20',
  })
  for (const tenant of ['a', 'b', 'c']) await gateway.register(noisy, archive, tenant)
  await gateway.register(quiet, archive, 'a')
})
afterAll(() => gateway.stop())

const nap = (platform: string, seconds: number, tenant = 'a') =>
  gateway.call(platform, 'nap', [seconds], tenant)

describe('a tenant that floods', () => {
  test('gets 503 with Retry-After once its queue is full, and is served as before afterwards', async () => {
    const answers = await Promise.all(Array.from({ length: 100 }, () => nap(noisy, 0.05)))
    const refused = answers.filter(({ status }) => status === 503)
    expect(refused.length).toBeGreaterThan(0)
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(100 - refused.length)
    for (const { headers, body } of refused) {
      expect(headers.get('retry-after')).toBe('1')
      expect(body).toMatchObject({ error: 'pool_exhausted', database: `${noisy}_a` })
    }
    expect((await nap(noisy, 0)).status).toBe(200)
  })

  test('takes nothing from another one', async () => {
    let flooding = true
    const flood = Array.from({ length: 40 }, async () => {
      while (flooding) {
        const { status } = await nap(noisy, 0.05)
        if (status === 503) await sleep(100)
      }
    })
    const answers = []
    for (let i = 0; i < 20; i++) answers.push(await nap(quiet, 0))
    flooding = false
    await Promise.all(flood)
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200))
  })
})

test('a platform that floods has no more connections than MAX_CONNECTIONS_PER_PLATFORM', async () => {
  const tenants = ['a', 'b', 'c']
  const calls = Promise.all(
    Array.from({ length: 60 }, (_, i) => nap(noisy, 0.05, tenants[i % tenants.length])),
  )
  let done = false
  calls.finally(() => {
    done = true
  })
  let most = 0
  while (!done) {
    const [row] = await gateway.query(
      gateway.server.database,
      `select count(*)::int as n from pg_stat_activity
       where datname like '${noisy}%' and backend_type = 'client backend'`,
    )
    most = Math.max(most, row.n)
  }
  expect(new Set((await calls).map(({ status }) => status))).toEqual(new Set([200]))
  expect(most).toBe(6)
})
