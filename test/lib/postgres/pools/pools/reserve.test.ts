import { expect, test } from 'vitest'
import { until } from '../../../../helpers/process.ts'
import { databases, openConnections, setUp, withPools } from './setup.ts'

setUp()

test('a permit for another program is held without a connection, and given back once', async () => {
  await withPools({ maxTotalConnections: 2 }, async (pools) => {
    let isOpen = false
    const release = await pools.reserve(databases[0]!, async (sql) => {
      isOpen = (await sql`select 1 as one`)[0]!.one === 1
    })
    expect([isOpen, pools.report().permits.held]).toEqual([true, 1])
    await until(async () => (await openConnections(pools)).length === 0)
    const lease = await pools.lease(databases[1]!)
    await expect(pools.lease(databases[1]!, { waitMs: 1 })).rejects.toMatchObject({
      code: 'pool_exhausted',
    })
    // Whoever waits gets it.
    const waiting = pools.lease(databases[1]!)
    release()
    ;(await waiting).release()
    lease.release()
  })
})

test('what its look throws gives the permit back', async () => {
  await withPools({}, async (pools) => {
    const failing = pools.reserve(databases[0]!, (sql) => sql.unsafe('select 1 / 0').then(() => {}))
    await expect(failing).rejects.toMatchObject({ code: '22012' })
    expect(pools.report().permits.held).toBe(0)
  })
})
