import type { TestGateway } from './gateway.ts'
import { eventually } from './process.ts'

/** Returns how many connections a gateway may have open: its share of the cap. */
export async function capacityOf(gateway: TestGateway): Promise<number> {
  return (await gateway.get('/admin/pools')).body.permits.capacity
}

/** Waits until a gateway may have so many connections open. */
export async function capacityBecomes(
  gateway: TestGateway,
  capacity: number,
  patienceMs?: number,
): Promise<void> {
  await eventually(
    `the capacity is ${capacity}`,
    async () => (await capacityOf(gateway)) === capacity,
    patienceMs,
  )
}
