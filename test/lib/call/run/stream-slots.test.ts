import { describe, expect, test } from 'vitest'
import { type StreamLimits, StreamSlots } from '../../../../lib/call/run/stream-slots.ts'
import type { Client } from '../../../../lib/postgres/pools/pools.ts'

const LIMITS: StreamLimits = {
  maxPerDatabase: () => 2,
  maxTotal: () => 100,
  maxWaiting: 3,
  waitMs: 10_000,
}
const client = (): Client => ({ isGone: false, onGone: undefined })
const settled = () => new Promise((resolve) => setImmediate(resolve))

/** Takes slots one after the other; `got` has the numbers of those that have theirs. */
function taker(limits: Partial<StreamLimits> = {}) {
  const slots = new StreamSlots({ ...LIMITS, ...limits })
  const got: number[] = []
  const codes: string[] = []
  const releases: (() => void)[] = []
  let count = 0
  const take = (database = 'one', who = client(), deadline?: number) => {
    const number = count++
    slots.take(database, who, deadline).then(
      (release) => {
        got.push(number)
        releases[number] = release
      },
      (error) => codes.push(error.code),
    )
  }
  return { take, got, codes, releases }
}

describe('streams of a database', () => {
  test('beyond the limit wait in order; other databases have their own', async () => {
    const { take, got, releases } = taker()
    for (let i = 0; i < 4; i++) take()
    take('two')
    await settled()
    expect(got).toEqual([0, 1, 4])
    releases[1]!()
    releases[1]!()
    await settled()
    expect(got).toEqual([0, 1, 4, 2])
    releases[0]!()
    await settled()
    expect(got).toEqual([0, 1, 4, 2, 3])
  })

  test('that find too many waiting are refused at once', async () => {
    const { take, codes } = taker()
    for (let i = 0; i < 6; i++) take()
    await settled()
    expect(codes).toEqual(['pool_exhausted'])
  })

  test('leave with their client, after waitMs and at their deadline', async () => {
    const { take, got, codes, releases } = taker({ maxPerDatabase: () => 1, waitMs: 60 })
    const gone = client()
    take()
    take('one', gone)
    take('one', client(), performance.now() + 10)
    take()
    gone.onGone?.()
    await expect.poll(() => codes).toEqual(['pool_exhausted', 'query_timeout', 'pool_exhausted'])
    releases[0]!()
    take()
    await settled()
    expect(got).toEqual([0, 4])
  })
})

test('of all databases together, no more than the limit run', async () => {
  const { take, got, releases } = taker({ maxTotal: () => 3 })
  for (const database of ['a', 'a', 'b', 'b', 'c']) take(database)
  await settled()
  expect(got).toEqual([0, 1, 2])
  releases[2]!()
  await settled()
  expect(got).toEqual([0, 1, 2, 3])
})
