import { expect, test } from 'vitest'
import { CallDurations } from '../../../../lib/call/run/call-durations.ts'
import type { Schema } from '../../../../lib/call/signatures/schema.ts'
import type { Signature } from '../../../../lib/call/signatures/signature.ts'

const look = { index: 0 } as Signature

test('CallDurations drops databases whose schema is no longer known or has changed', () => {
  const schemas = new Map<string, Schema>()
  const durations = new CallDurations((database) => schemas.get(database))
  const call = (database: string) => {
    if (!schemas.has(database)) schemas.set(database, { size: 1 } as Schema)
    for (let i = 0; i < 6; i++) durations.note(database, look, 0.1)
  }
  call('stays')
  for (let i = 0; i < 5000; i++) {
    call(`t_${i}`)
    if (i % 2) schemas.delete(`t_${i}`)
    else schemas.set(`t_${i}`, { size: 1 } as Schema)
  }
  expect(durations.size).toBeLessThan(1100)
  expect(durations.expectedMs('stays', look)).toBeGreaterThan(0)
})
