import { vi } from 'vitest'
import type { TestGateway } from './gateway.ts'
import { eventually } from './process.ts'

/**
 * Returns the most bytes of the memory budget that were taken at once while `work` ran. Checks that
 * all of them are released afterwards.
 */
export async function mostHeld(
  { gateway: { buffered } }: TestGateway,
  work: () => Promise<unknown>,
): Promise<number> {
  let most = 0
  const take = buffered.take.bind(buffered)
  const spy = vi.spyOn(buffered, 'take').mockImplementation((holder, bytes) => {
    const taken = take(holder, bytes)
    most = Math.max(most, buffered.taken)
    return taken
  })
  try {
    await work()
  } finally {
    spy.mockRestore()
  }
  await eventually('nothing is held', () => buffered.taken === 0 && buffered.waiting === 0)
  return most
}
