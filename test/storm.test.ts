import { test } from 'vitest'
import { startStormGateway } from './faults/storm/gateway.ts'
import { runStorm, type StormOptions } from './faults/storm/storm.ts'
import { afterTest } from './helpers/after-test.ts'
import { connectTo, createAdminDatabase, dropAdminDatabase, uniqueName } from './helpers/gateway.ts'

/**
 * As test/faults/storm.faults.ts, which goes on for a million calls. Calls are drawn anew each time; the
 * seed is told, and STORM_SEED repeats its calls.
 */
const SEED = Number(process.env.STORM_SEED || Date.now() % 1_000_000)
const SECONDS = Number(process.env.STORM_SECS || 30)

async function storm(options: Omit<StormOptions, 'gateway' | 'platform' | 'connect' | 'seed'>) {
  const adminUrl = await createAdminDatabase()
  afterTest(() => dropAdminDatabase(adminUrl))
  const gateway = await startStormGateway(adminUrl)
  await runStorm({
    gateway,
    platform: uniqueName('storm'),
    connect: connectTo,
    seed: SEED,
    ...options,
  })
}

test('a calm: every function of the storm answers as it should', { timeout: 120_000 }, () =>
  storm({ clients: 2, calls: 1000 }),
)

test(
  'half a minute of storm: no answer is wrong, no write is lost or there twice',
  {
    timeout: (SECONDS + 120) * 1000,
  },
  () => storm({ clients: 64, seconds: SECONDS, deployEveryMs: 6000 }),
)
