import { expect, test } from 'vitest'
import { startTwoGateways } from '../../../helpers/for-file.ts'
import { uniqueName } from '../../../helpers/gateway.ts'
import { pack, textFunction } from '../../../helpers/platforms.ts'
import { replayedIn } from './setup.ts'

// The gateway that records a deploy is not told of its own record; the others are.

const { gateway, other } = await startTwoGateways({ TEMPLATES: 'off' })

test('a replay of one gateway is what the other one calls', async () => {
  const platform = uniqueName('re')
  const release = (version: string) => pack(textFunction('version', version))
  const first = await release('1')
  for (const tenant of [undefined, 'a', 'b']) await gateway.register(platform, first, tenant)
  const rowsOf = async (from: typeof gateway) => {
    const { body } = await from.call(platform, 'version', {}, 'b')
    return JSON.stringify(body.rows)
  }
  for (const version of ['2', '3', '4']) {
    // Both have a session of the database, and the functions of the release before.
    expect(await rowsOf(other)).toBe(await rowsOf(gateway))
    gateway.logged.length = 0
    await gateway.migrate(platform, await release(version))
    expect(replayedIn(gateway, platform)).toContain('b')
    expect(await rowsOf(gateway)).toContain(version)
    await expect.poll(() => rowsOf(other), { timeout: 10_000 }).toContain(version)
  }
  // The other gateway's own replay, and back: the first one's kept session is not in the way.
  other.logged.length = 0
  await other.migrate(platform, await release('5'))
  expect(replayedIn(other, platform)).toContain('b')
  await expect.poll(() => rowsOf(gateway), { timeout: 10_000 }).toContain('5')
}, 60_000)
