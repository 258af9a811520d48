import type { Sql } from 'postgres'
import { beforeAll, expect, test } from 'vitest'
import { createLog } from '../../../lib/log.ts'
import { fromPostgres } from '../../../lib/postgres/errors.ts'
import { createCatalog } from '../../../lib/tenancy/catalog/catalog-table.ts'
import { maskPlans } from '../../../lib/usage/slow/mask-plan.ts'
import { SlowCalls } from '../../../lib/usage/slow/slow-calls.ts'
import { databaseWith } from '../../helpers/for-file.ts'

const { database, sql } = await databaseWith('select 1')
const lines: string[] = []
let answered = 0
const slow = new SlowCalls({
  use: <T>(work: (sql: Sql) => Promise<T>) =>
    work(sql).catch((error) => {
      throw fromPostgres(error, database)
    }),
  log: createLog('warn', { write: (text) => lines.push(text) }),
  platformOf: (database) => database.split('_')[0],
  slowMs: 100,
  kept: 200,
  keptMs: 3_600_000,
  now: () => Date.now() + answered++,
})

beforeAll(async () => {
  await createCatalog(sql)
  await slow.prepare()
})

function note(database: string, name: string, plan: string | null = null): void {
  const times = { ms: 200, wait_ms: 0, connect_ms: 0, query_ms: 200, rows: 1, bytes: 1 }
  slow.note({
    ...{ database, function: name, request_id: null, sqlstate: null, error: null, plan },
    ...times,
  })
}

const find = async (given: Partial<Parameters<SlowCalls['read']>[0]>) => {
  const all = { platform: undefined, database: undefined, function: undefined, mayName: undefined }
  const calls = await slow.read({ ...all, limit: 100, ...given })
  return calls.map(({ function: name }) => name)
}

test('A call that PostgreSQL refuses does not keep the others out', async () => {
  for (let i = 0; i < 5; i++) note('one_a', `f${i}`, i === 3 ? '\ud83d' : 'a plan')
  expect(await find({ platform: 'one' })).toEqual(['f4', 'f2', 'f1', 'f0'])
  expect(lines.filter((line) => line.includes('A slow call was given up'))).toHaveLength(1)
  expect(lines.join('')).not.toContain('could not be written')
})

test('Plans are cut between characters', async () => {
  for (const before of ['', 'x']) {
    const text = `Query Text: ${before}${'😀'.repeat(8000)}`
    note('two_a', `cut${before}`, maskPlans([{ ms: 1, text }]))
  }
  expect(await find({ platform: 'two' })).toEqual(['cutx', 'cut'])
})

test('Of all platforms, those of hidden ones are left out and do not count', async () => {
  note('three_a', 'shown')
  for (let i = 0; i < 5; i++) note('four_a', 'hidden')
  const mayName = (platform: string) => platform !== 'four'
  expect(await find({ mayName, limit: 2 })).toEqual(['shown', 'cutx'])
  expect(await find({ limit: 1 })).toEqual(['hidden'])
})
