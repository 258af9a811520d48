import { expect, test } from 'vitest'
import { Paces } from '../../../../lib/call/run/pace.ts'
import type { Schema } from '../../../../lib/call/signatures/schema.ts'
import type { Signature } from '../../../../lib/call/signatures/signature.ts'

const look = { index: 0 } as Signature

test('paces of databases that are gone, or have another schema, are forgotten in time', () => {
  const schemas = new Map<string, Schema>()
  const paces = new Paces((database) => schemas.get(database))
  const call = (database: string) => {
    if (!schemas.has(database)) schemas.set(database, { size: 1 } as Schema)
    for (let i = 0; i < 6; i++) paces.note(database, look, 0.1)
  }
  call('stays')
  for (let i = 0; i < 5000; i++) {
    call(`t_${i}`)
    if (i % 2) schemas.delete(`t_${i}`)
    else schemas.set(`t_${i}`, { size: 1 } as Schema)
  }
  expect(paces.size).toBeLessThan(1100)
  expect(paces.expectedMs('stays', look)).toBeGreaterThan(0)
})
