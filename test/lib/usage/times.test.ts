import { randomUUID } from 'node:crypto'
import type { Sql } from 'postgres'
import { beforeAll, expect, test } from 'vitest'
import { createLog } from '../../../lib/log.ts'
import { createCatalog } from '../../../lib/tenancy/catalog/catalog-table.ts'
import { UsageCounters } from '../../../lib/usage/counters.ts'
import { MAX_ROWS } from '../../../lib/usage/times/fold.ts'
import type { TimesQuery } from '../../../lib/usage/times/read.ts'
import { moveTimes } from '../../../lib/usage/times/table.ts'
import { Times } from '../../../lib/usage/times/times.ts'
import { databaseWith } from '../../helpers/for-file.ts'

const { sql } = await databaseWith('select 1')

const HOUR = 3_600_000
const DAY = 24 * HOUR

const lines: string[] = []
const log = createLog('warn', { write: (text) => lines.push(text) })

beforeAll(async () => {
  await createCatalog(sql)
  await newGateway().times.prepare()
})

/** A gateway with a clock of its own, and an administrative database that may fail. */
function newGateway(at: number = Date.now()) {
  const clock = { now: at }
  const state = { fail: undefined as 'before' | 'after' | undefined }
  const usage = new UsageCounters()
  const times = new Times({
    use: async <T>(work: (sql: Sql) => Promise<T>) => {
      if (state.fail === 'before') throw new Error('not reached')
      const result = await work(sql)
      if (state.fail === 'after') throw new Error('lost after the commit')
      return result
    },
    log,
    gateway: randomUUID(),
    platformOf: (database) => database.split('_')[0],
    minutesKeptMs: DAY,
    hoursKeptMs: 30 * DAY,
    now: () => clock.now,
  })
  const call = (database: string, name: string, ms: number, isError = false) => {
    const ended = { ms, heldMs: ms / 2, rows: 3, bytes: 10, isError }
    times.calls.note(database, name, usage.of(database, name), ended)
  }
  const read = (platform: string | undefined, given: Partial<TimesQuery> = {}) =>
    times.read({
      platform,
      step: 'minute',
      order: 'calls',
      limit: 1000,
      from: new Date(clock.now - 3 * HOUR),
      to: new Date(clock.now + 1),
      ...given,
    })
  return { times, clock, state, call, read }
}

test('Minutes of several gateways add up, before they are written and after a restart', async () => {
  const [one, two] = [newGateway(), newGateway()]
  for (let i = 1; i <= 100; i++) {
    one.call('sum_a', 'f', i)
    two.call('sum_b', 'f', 100 + i, i === 1)
  }
  await two.times.write()
  const expected = {
    platform: 'sum',
    database: null,
    tenant_id: null,
    function: 'f',
    calls: 200,
    errors: 1,
    p50_ms: expect.any(Number),
    p95_ms: expect.any(Number),
    p99_ms: expect.any(Number),
    max_ms: 200,
    database_seconds: (200 * 201) / 4 / 1000,
    rows: 600,
    bytes: 2000,
  }
  const before = await one.read('sum')
  expect(before.functions).toEqual([expected])
  const [shown] = before.functions
  for (const [quantile, exact] of [
    [shown!.p50_ms, 100],
    [shown!.p95_ms, 190],
    [shown!.p99_ms, 198],
  ]) {
    expect(Math.abs(quantile! - exact!) / exact!).toBeLessThan(0.032)
  }
  await one.times.write()
  expect(await one.read('sum')).toEqual(before)
  expect(await newGateway().read('sum')).toEqual(before)
  expect((await one.read('sum', { function: 'g' })).series).toEqual([])
  // By tenant, and of one.
  const apart = await one.read('sum', { perDatabase: true })
  expect(apart.functions.map(({ database, calls }) => [database, calls])).toEqual([
    ['sum_a', 100],
    ['sum_b', 100],
  ])
  const { functions } = await one.read('sum', { database: 'sum_b' })
  expect(functions).toMatchObject([{ database: 'sum_b', calls: 100, errors: 1 }])
  const hidden = await one.read('sum', { platform: undefined, mayName: () => false })
  expect(hidden).toEqual({ functions: [], series: [] })
})

test('The first of many functions are chosen by sums, of those in the tables and of those that wait', async () => {
  const { times, clock, call, read } = newGateway(Date.now() - 12 * HOUR)
  const [hour, minute] = [2, 0].map((ago) => new Date(Math.floor(clock.now / HOUR - ago) * HOUR))
  for (const at of [hour!, minute!]) {
    await sql`
      insert into _db_gateway_call_minutes (at, gateway, slot, platform, database, function, calls,
        errors, held_ms, sum_ms, max_ms, rows, bytes, durations)
      select ${at}, ${randomUUID()}, i, 'many' || i % 2, 'many_' || i, 'f', 10, i, 5, 5, 5, i, 1,
        '\\x0a0a' from generate_series(1, 10000) i
    `
  }
  for (let i = 0; i < 30; i++) call('many1_1', 'f', 3)
  const asked = { platform: undefined, perDatabase: true, limit: 3, to: new Date(clock.now + HOUR) }
  let most = 0
  const before = process.memoryUsage().arrayBuffers
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage().arrayBuffers - before)
  }, 1)
  const found = async (given: Partial<TimesQuery>) => {
    const { functions } = await read(undefined, { ...asked, ...given })
    return functions.map(({ database, calls }) => [database, calls])
  }
  try {
    expect(await found({ order: 'calls' })).toEqual([
      ['many1_1', 30],
      ['many_10', 20],
      ['many_100', 20],
    ])
  } finally {
    clearInterval(timer)
  }
  // A histogram has 3.5 KB: those of all would be 35 MB.
  expect(most).toBeLessThan(20e6)
  const last = ['many_10000', 'many_9999', 'many_9998'].map((name) => [name, 20])
  expect(await found({ order: 'errors' })).toEqual(last)
  expect(await found({ order: 'rows', step: 'hour' })).toEqual(last)
  const mayName = (platform: string) => platform !== 'many0'
  expect(await found({ order: 'errors', limit: 1, mayName })).toEqual([['many_9999', 20]])
  expect((await found({ order: 'p95_ms' })).map(([name]) => name)).toContain('many1_1')
  await times.write()
  expect((await found({ order: 'calls' }))[0]).toEqual(['many1_1', 30])
  // What is of several platforms may be of one that the client must not see.
  await sql`update _db_gateway_call_minutes set platform = '(other)' where database = 'many_9999'`
  expect(await found({ order: 'errors', limit: 1, mayName })).toEqual([['many_9997', 20]])
  await sql`delete from _db_gateway_call_minutes where platform in ('many0', 'many1', '(other)')`
})

test('Minutes are written once, even where the answer of PostgreSQL is lost or it is away', async () => {
  const { times, clock, state, call, read } = newGateway()
  call('once_a', 'f', 1)
  state.fail = 'after'
  await times.write()
  state.fail = undefined
  clock.now -= 60_000
  call('once_a', 'f', 1)
  await times.write()
  state.fail = 'before'
  for (let minute = 0; minute < 5; minute++) {
    clock.now += 60_000
    call('once_a', 'f', 1)
    await times.write()
  }
  state.fail = undefined
  const series = (await read('once')).series.map(({ calls }) => calls)
  expect(series.reduce((sum, calls) => sum + calls, 0)).toBe(7)
  await times.write()
  expect((await read('once')).series.map(({ calls }) => calls)).toEqual(series)
  expect(lines.join('')).toContain('Durations of calls could not be written: not reached')
})

test('Hours are summed up from minutes of all gateways, again if one comes late', async () => {
  const hour = Math.floor(Date.now() / HOUR) * HOUR - 5 * HOUR
  const [one, two] = [newGateway(hour), newGateway(hour)]
  for (const { times, clock, call } of [one, two]) {
    for (let minute = 0; minute < 60; minute += 20) {
      clock.now = hour + minute * 60_000
      await times.write()
      for (let i = 0; i < MAX_ROWS + 10; i++) call('roll_a', `f${i}`, 10 + i)
      call('roll_a', 'f0', 4000)
    }
    clock.now = hour + HOUR
    await times.write()
  }
  const asked = { from: new Date(hour), to: new Date(hour + HOUR), step: 'hour' as const }
  const before = await one.read('roll', asked)
  await one.times.clean()
  await two.times.clean()
  const rows = await sql`
    select database is null as is_of_all, count(*)::int, sum(calls)::int as calls
    from _db_gateway_call_hours where at = ${new Date(hour)} and platform = 'roll'
    group by 1 order by 1
  `
  expect(rows).toEqual([
    { is_of_all: false, count: MAX_ROWS, calls: expect.any(Number) },
    { is_of_all: true, count: MAX_ROWS + 1, calls: 6 * (MAX_ROWS + 11) },
  ])
  const after = await one.read('roll', asked)
  expect(after.series).toEqual(before.series)
  expect(after.series).toMatchObject([{ at: new Date(hour).toISOString(), errors: 0 }])
  expect(after.functions[0]).toMatchObject({ calls: 6 * 11 })
  expect(after.functions.find((row) => row.function === 'f0')).toMatchObject({
    calls: 12,
    max_ms: 4000,
  })
  // What a gateway could not write before.
  await sql`update _db_gateway_call_hours set made_at = now() - interval '2 hours'`
  const late = newGateway(hour + 60_000)
  late.call('roll_a', 'f0', 1)
  await late.times.write()
  await one.times.clean()
  const { functions } = await one.read('roll', asked)
  expect(functions.find((row) => row.function === 'f0')!.calls).toBe(13)
})

test('Minutes and hours are deleted when their time has come; a renamed tenant takes its own along', async () => {
  const now = Date.now()
  for (const ago of [DAY + HOUR, 2 * HOUR, 0]) {
    const { times, call } = newGateway(now - ago)
    call('old_a', 'f', 1)
    await times.write()
  }
  const { times, read } = newGateway(now)
  await times.clean()
  const asked = { from: new Date(now - 40 * DAY) }
  expect((await read('old', asked)).series).toHaveLength(2)
  const hours = { ...asked, step: 'hour' as const }
  expect((await read('old', hours)).series).toHaveLength(3)
  await moveTimes(sql, 'old_a', { database: 'old_b', tenantId: 'b' })
  expect((await read('old', { ...hours, database: 'old_a' })).functions).toEqual([])
  expect((await read('old', { ...hours, database: 'old_b' })).functions).toMatchObject([
    { database: 'old_b', tenant_id: 'b', calls: 3 },
  ])
  // The clock of a gateway may be wrong.
  const early = newGateway(now + 31 * DAY).times
  await early.clean()
  expect((await read('old', { ...asked, step: 'hour' })).series).toHaveLength(3)
  for (const table of ['_db_gateway_call_hours', '_db_gateway_call_minutes']) {
    await sql`update ${sql(table)} set at = at - interval '31 days'`
  }
  await times.clean()
  expect(await sql`select from _db_gateway_call_hours`).toHaveLength(0)
  expect(await sql`select from _db_gateway_call_minutes`).toHaveLength(0)
})
