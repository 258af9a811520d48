import { expect, test } from 'vitest'
import type { Ledger } from '../../../../lib/deploy/ledger/ledger.ts'
import { findPending } from '../../../../lib/deploy/plan/migrations.ts'
import { leastStall } from '../../../helpers/stall.ts'

test('thousands of pending migrations do not hold up the event loop', async () => {
  const files = Array.from({ length: 5000 }, (_, i) => {
    const name = `${String(i).padStart(5, '0')}_step.sql`
    return { path: `migrations/${name}`, name, text: '', checksum: `${i}`, rawChecksum: `raw ${i}` }
  })
  const ledger = { migrations: new Map() } as unknown as Ledger
  const find = () => findPending('d', files, ledger, { repair: false })
  expect(find().files).toHaveLength(5000)
  expect(await leastStall(find, 200)).toBeLessThan(200)
})
