import { randomUUID } from 'node:crypto'
import type { Sql } from 'postgres'
import { beforeAll, describe, expect, test } from 'vitest'
import { createLog } from '../../../lib/log.ts'
import { createCatalog } from '../../../lib/tenancy/catalog/catalog-table.ts'
import { countCall, countTime } from '../../../lib/usage/counters.ts'
import { Usage } from '../../../lib/usage/usage.ts'
import { databaseWith } from '../../helpers/for-file.ts'

const { sql } = await databaseWith('select 1')
const log = createLog('error', { write: () => {} })

type Use = <T>(work: (sql: Sql) => Promise<T>) => Promise<T>

beforeAll(() => createCatalog(sql))

/** Usage with a clock of its own, and an administrative database that may fail. */
function newUsage(at = '2026-11-26T12:00:00Z', retentionDays = 400) {
  const clock = { now: Date.parse(at) }
  const state = { fail: undefined as 'before' | 'after' | undefined, statements: 0 }
  const use: Use = async (work) => {
    if (state.fail === 'before') throw new Error('not reached')
    const result = await work(sql)
    state.statements++
    if (state.fail === 'after') throw new Error('lost after the commit')
    return result
  }
  const usage = new Usage({
    use,
    log,
    gateway: randomUUID(),
    platformOf: (database) => database.split('_')[0],
    limits: {
      usageRetentionDays: retentionDays,
      functionMinutesHours: 24,
      functionHoursDays: 30,
      slowCallMs: 0,
      slowCallsKept: 10,
    },
    now: () => clock.now,
  })
  return { usage, clock, state }
}

const page = {
  by: 'tenant' as const,
  from: '2026-01-01',
  to: '2027-12-31',
  order: 'calls' as const,
  after: undefined,
  limit: 1000,
}

const callsOf = async (usage: Usage, platform: string) =>
  (await usage.read({ ...page, platform }, true)).map(({ shown }) => [
    shown.database,
    shown.calls,
    shown.days?.map(({ day, calls }) => [day, calls]),
  ])

describe('usage', () => {
  test('is added once, even where the answer of PostgreSQL is lost', async () => {
    const { usage, state } = newUsage()
    await usage.prepare()
    countCall(usage.counters.of('once_a', 'f'), 100)
    countTime(usage.counters.of('once_a', 'f'), 1500)
    state.fail = 'after'
    await usage.write()
    await usage.write()
    countCall(usage.counters.of('once_a', 'f'), 100)
    state.fail = 'before'
    await usage.write()
    state.fail = undefined
    const [entry] = await usage.read({ ...page, platform: 'once' }, false)
    expect(entry!.shown).toEqual({
      platform: 'once',
      tenant_id: null,
      database: 'once_a',
      calls: 2,
      errors: 0,
      database_seconds: 1.5,
      bytes: 200,
      deploys: 0,
      since_start: { calls: 2, errors: 0, database_seconds: 1.5, bytes: 200, deploys: 0 },
    })
    await usage.end(1000)
  })

  test('counts for the day in UTC on which it was', async () => {
    const { usage, clock, state } = newUsage('2026-11-26T23:59:30Z')
    await usage.prepare()
    countCall(usage.counters.of('days_a', 'f'), 1)
    await usage.write()
    // PostgreSQL is away over midnight.
    state.fail = 'before'
    countCall(usage.counters.of('days_a', 'f'), 1)
    await usage.write()
    countCall(usage.counters.of('days_a', 'f'), 1)
    clock.now += 60_000
    await usage.write()
    countCall(usage.counters.of('days_a', 'f'), 1)
    state.fail = undefined
    await usage.write()
    const days = [
      ['2026-11-26', 3],
      ['2026-11-27', 1],
    ]
    expect(await callsOf(usage, 'days')).toEqual([['days_a', 4, days]])
    await usage.end(1000)
  })

  test('of several gateways adds up while they write at once', async () => {
    const gateways = Array.from({ length: 4 }, () => newUsage().usage)
    await gateways[0]!.prepare()
    for (let round = 0; round < 3; round++) {
      for (const [i, { counters }] of gateways.entries()) {
        const names = Array.from({ length: 300 }, (_, n) => `all_${(n * (i + 1)) % 300}`)
        for (const name of names) countCall(counters.of(name, 'f'), 1)
      }
      await Promise.all(gateways.map((usage) => usage.write()))
    }
    const found = await gateways[1]!.read({ ...page, platform: 'all', by: 'function' }, false)
    expect(found.map(({ shown }) => [shown.function, shown.calls])).toEqual([['f', 3600]])
    await Promise.all(gateways.map((usage) => usage.end(1000)))
  })

  test('of thousands of functions takes few statements', async () => {
    const { usage, state } = newUsage()
    await usage.prepare()
    const before = state.statements
    for (let i = 0; i < 3000; i++) countCall(usage.counters.of(`many_${i % 10}`, `f${i}`), 1)
    await usage.write()
    // One of them may be the clean-up of the start.
    expect(state.statements - before).toBeLessThanOrEqual(3)
    await usage.end(1000)
  })

  test('keeps its tenant’s names once the tenant is dropped', async () => {
    const { usage } = newUsage()
    await usage.prepare()
    await sql`
      insert into _db_gateway_databases (database, platform, tenant_id)
      values ('gone_x', 'gone', 'x')
    `
    countCall(usage.counters.of('gone_x'), 1)
    await usage.write()
    await sql`delete from _db_gateway_databases where database = 'gone_x'`
    countCall(usage.counters.of('gone_x', 'late'), 1)
    const [entry] = await usage.read({ ...page, platform: 'gone' }, false)
    expect(entry!.shown).toMatchObject({ tenant_id: 'x', database: 'gone_x', calls: 2 })
    expect(
      await sql`select distinct tenant_id from _db_gateway_usage where platform = 'gone'`,
    ).toMatchObject([{ tenant_id: 'x' }])
    await usage.end(1000)
  })

  test('is deleted after USAGE_RETENTION_DAYS', async () => {
    const { usage, clock } = newUsage('2026-11-01T12:00:00Z')
    await usage.prepare()
    for (let day = 0; day < 5; day++) {
      countCall(usage.counters.of('old_a'), 1)
      await usage.write()
      clock.now += 24 * 60 * 60 * 1000
      // As at midnight.
      await usage.write()
    }
    await usage.end(1000)
    const later = newUsage('2026-11-06T12:00:00Z', 3).usage
    await later.prepare()
    await expect
      .poll(() => callsOf(later, 'old').then((entries) => entries[0]?.[2]))
      .toEqual([
        ['2026-11-03', 1],
        ['2026-11-04', 1],
        ['2026-11-05', 1],
      ])
    await later.end(1000)
  })
})
