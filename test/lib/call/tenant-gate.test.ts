import { expect, test } from 'vitest'
import { TenantGate } from '../../../lib/call/tenant-gate.ts'
import { GatewayError } from '../../../lib/errors.ts'
import { toLimits } from '../../../lib/tenancy/limits/tenant-limits.ts'

/** A gate for one database. */
function gateOf(callsPerSecond: number, gateways = 1) {
  let limits = toLimits({ revision: 1, calls_per_second: callsPerSecond })
  const gate = new TenantGate({ of: () => limits, gateways: () => gateways })
  const admit = (calls?: number) => {
    try {
      gate.admit('d', calls)
      return 'admitted'
    } catch (error) {
      if (!(error instanceof GatewayError) || error.code !== 'rate_limited') throw error
      return error.details.retry_after_s
    }
  }
  const change = (next: number) => {
    limits = toLimits({ revision: 2, calls_per_second: next })
  }
  return { admit, change }
}

test('One second of calls is admitted at once, of the share of this gateway', () => {
  const { admit } = gateOf(3, 3)
  expect([admit(), admit()]).toEqual(['admitted', 1])
  const { admit: of } = gateOf(1000, 2)
  for (let i = 0; i < 500; i++) expect(of()).toBe('admitted')
})

test('A share of less than one call a second admits one, and then waits for it', () => {
  const { admit } = gateOf(1, 5)
  expect([admit(), admit()]).toEqual(['admitted', 5])
})

test('A batch counts its calls; one of more than a second has begins when all are there', () => {
  const { admit } = gateOf(10)
  expect([admit(4), admit(7), admit(6)]).toEqual(['admitted', 1, 'admitted'])
  const { admit: ofLarge } = gateOf(10)
  expect([ofLarge(100), ofLarge()]).toEqual(['admitted', 10])
  expect(ofLarge(100)).toBe(10)
})

test('Other limits begin anew', () => {
  const { admit, change } = gateOf(1)
  expect([admit(), admit()]).toEqual(['admitted', 1])
  change(2)
  expect([admit(), admit(), admit()]).toEqual(['admitted', 'admitted', 1])
})
