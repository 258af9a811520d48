import { expect, test } from 'vitest'
import { type Holder, Holders } from '../../../../lib/tenancy/catalog/holders.ts'

const holder = (n: number): Holder => ({ database: `d${n}`, platform: 'p', role: 'r' })

test('holders stay as long as they are asked for now and then, and are bounded', () => {
  let forgettings = 0
  const holders = new Holders(() => forgettings++, 10)
  for (let n = 0; n < 1000; n++) {
    holders.set(holder(n))
    if (n % 5 === 0) expect(holders.get('d0')).toEqual(holder(0))
    expect(holders.get(`d${n}`)).toEqual(holder(n))
    expect(holders.size).toBeLessThanOrEqual(21)
  }
  expect(holders.get('d1')).toBeUndefined()
  expect(forgettings).toBeGreaterThan(50)
})

test('a holder that is set again is the one that is found', () => {
  const holders = new Holders(() => {}, 2)
  for (const n of [1, 2, 3]) holders.set(holder(n))
  holders.set({ ...holder(1), role: 'another' })
  expect(holders.get('d1')?.role).toBe('another')
  expect(holders.get('d4')).toBeUndefined()
})
