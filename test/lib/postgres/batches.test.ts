import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { forEachBatch } from '../../../lib/postgres/batches.ts'
import { afterTest } from '../../helpers/after-test.ts'
import { connectTo } from '../../helpers/gateway.ts'

const sql = () => {
  const session = connectTo('postgres')
  afterTest(() => session.end())
  return session
}

test('the last batch is waited for, as all others are', async () => {
  const taken: number[] = []
  const numbers = sql()<{ n: number }[]>`select n from generate_series(1, 5) n`
  await forEachBatch(numbers, 2, async (some) => {
    await sleep(5)
    taken.push(...some.map(({ n }) => n))
  })
  expect(taken).toEqual([1, 2, 3, 4, 5])
})

test.each([
  ['the first', 1],
  ['the last', 5],
])('the error of %s batch is thrown', async (_, wrong) => {
  const numbers = sql()<{ n: number }[]>`select n from generate_series(1, 5) n`
  const taking = forEachBatch(numbers, 2, async (some) => {
    await sleep(5)
    if (some.some(({ n }) => n === wrong)) throw new Error('full')
  })
  await expect(taking).rejects.toThrow('full')
})

test('the error of the query is thrown', async () => {
  const numbers = sql()<{ n: number }[]>`select 1 / (3 - n) as n from generate_series(1, 5) n`
  await expect(forEachBatch(numbers, 2, async () => {})).rejects.toThrow('division by zero')
})
