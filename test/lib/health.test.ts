import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Health } from '../../lib/health.ts'

/** A PostgreSQL that answered so long ago, and answers a probe as `probe` does. */
function healthOf(since: number, probe: () => Promise<unknown>) {
  const seen = { since, probes: 0 }
  const health = new Health({
    sinceLastAnswer: () => seen.since,
    probe: () => {
      seen.probes++
      return probe()
    },
  })
  return { health, seen }
}

test('an answer of the last 5 s is enough', async () => {
  const { health, seen } = healthOf(4999, () => Promise.reject(new Error('never asked')))
  expect(await health.isConnected()).toBe(true)
  expect(seen.probes).toBe(0)
})

test('one probe serves all who ask meanwhile', async () => {
  const { health, seen } = healthOf(5000, () => sleep(20))
  expect(await Promise.all([1, 2, 3].map(() => health.isConnected()))).toEqual([true, true, true])
  expect(seen.probes).toBe(1)
  await health.isConnected()
  expect(seen.probes).toBe(2)
})

test('B7: a probe that fails or is late says nothing where a call was answered meanwhile', async () => {
  for (const probe of [
    () => sleep(10).then(() => Promise.reject(new Error('busy'))),
    () => sleep(1600),
  ]) {
    const { health, seen } = healthOf(Infinity, probe)
    const asked = health.isConnected()
    seen.since = 10
    expect(await asked).toBe(true)
  }
})

test('no answer within 1.5 s is none', async () => {
  const startedAt = performance.now()
  const { health } = healthOf(Infinity, () => sleep(3000, undefined, { ref: false }))
  expect(await health.isConnected()).toBe(false)
  expect(performance.now() - startedAt).toBeLessThan(2000)
})

test('a gateway that is draining is connected, and not ready', async () => {
  const { health } = healthOf(0, () => Promise.resolve())
  expect(await health.isReady()).toBe(true)
  health.isDraining = true
  expect(await health.isReady()).toBe(false)
  expect(await health.isConnected()).toBe(true)
})
