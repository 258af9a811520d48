import { expect, test } from 'vitest'
import { until } from '../../../../helpers/process.ts'
import { databases, openSession, setUp, withPools } from './setup.ts'

setUp()

const [dropped, kept] = databases as [string, string]

test('the counters of a database go with it, whether or not it has a connection then', async () => {
  await withPools({}, async (pools) => {
    const counted = () => pools.report().pools.map(({ database }) => database)
    for (const isOpen of [true, false]) {
      await openSession(pools, dropped)
      await openSession(pools, kept)
      if (!isOpen) pools.renewAll()
      await until(() => pools.status().pools === (isOpen ? 2 : 0))
      expect(counted().sort()).toEqual([dropped, kept].sort())
      await pools.closeDatabase(dropped)
      expect(counted()).toEqual([kept])
    }
    pools.forgetCounters(kept)
    expect(counted()).toEqual([])
    expect(pools.report().totals).toMatchObject({ opened: 3 })
  })
})
