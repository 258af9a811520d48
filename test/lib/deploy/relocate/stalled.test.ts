import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { type Workers, watchWorkers } from '../../../../lib/deploy/relocate/replicate/stalled.ts'

const LIMIT_MS = 50

/** Looks again and again at what changes from look to look; returns what is said to stall. */
async function look(...changes: Partial<Workers>[]) {
  const isStalled = watchWorkers(LIMIT_MS)
  const now = {
    isApplying: false,
    isCopying: false,
    tables_left: 2,
    tables_copied: 0,
    confirmed: 1,
  }
  for (const change of [{}, ...changes]) {
    Object.assign(now, change)
    const stalled = isStalled({ ...now })
    if (stalled) return stalled
    await sleep(LIMIT_MS * 0.6)
  }
  return undefined
}

test('a replication stalls where no worker receives changes, or copies what is left', async () => {
  expect(await look({}, {})).toBe('changes')
  expect(await look({ isApplying: true }, {}, {})).toBe('tables')
  expect(await look({ confirmed: 2 }, { confirmed: 3 }, { confirmed: 4 })).toBe('tables')
  expect(await look({ isApplying: true, isCopying: true }, {}, {})).toBeUndefined()
  expect(await look({ isApplying: true, tables_left: 0 }, {}, {})).toBeUndefined()
  const copied = [1, 2, 3].map((tables_copied) => ({ isApplying: true, tables_copied }))
  expect(await look(...copied)).toBeUndefined()
})
