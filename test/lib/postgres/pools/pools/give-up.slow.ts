import { expect, test } from 'vitest'
import { ask, databases, setUp, withPools } from './setup.ts'

setUp()

test('calls that are long and have all connections are none of a server that is silent', async () => {
  const [database] = databases as [string]
  await withPools({ maxTotalConnections: 2 }, async (pools) => {
    // What the gateway listens on is lost: it cannot be asked there.
    pools.giveUpWhenSilent((ms) =>
      pools.keep(database, ms / 2).then((connection) => connection.close()),
    )
    const leases = [await pools.leaseSession(database), await pools.leaseSession(database)]
    const calls = leases.map((lease) => ask(lease, "select 'slept' from pg_sleep(4)"))
    expect(await Promise.all(calls)).toEqual([['slept'], ['slept']])
    for (const lease of leases) lease.release()
  })
})
