import { test } from 'vitest'
import { startStormGateway } from './faults/storm/gateway.ts'
import { runStorm, type StormOptions } from './faults/storm/storm.ts'
import { afterTest } from './helpers/after-test.ts'
import { connectTo, createAdminDatabase, dropAdminDatabase, uniqueName } from './helpers/gateway.ts'

/**
 * As test/faults/storm.faults.ts, which goes on for a million calls that are drawn anew each time. Here they
 * are always the same, so that a change of the project alone makes a difference. STORM_SEED draws others;
 * with 272333 the calm counts one run more of a function than there were answers, for a reason not known yet.
 */
const SEED = Number(process.env.STORM_SEED || 188_985)
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
