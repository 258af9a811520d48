import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { LookLimits } from '../../../../lib/call/signatures/look-limits.ts'

test('unknown names have a database compared at most ten times a second', async () => {
  const limits = new LookLimits()
  const taken = Array.from({ length: 20 }, () => limits.takeLook('a'))
  expect(taken.filter(Boolean)).toHaveLength(10)
  expect(limits.takeLook('b')).toBe(true)
  limits.forgetLooks('a')
  expect(limits.takeLook('a')).toBe(true)
})

test('databases that were compared are forgotten, not kept for ever', async () => {
  const limits = new LookLimits()
  for (let i = 0; i <= 10_000; i++) limits.takeLook(`database_${i}`)
  await sleep(1100)
  limits.takeLook('another')
  expect(limits.size).toBe(1)
})
