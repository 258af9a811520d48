import { expect, test } from 'vitest'
import { Transfers } from '../../../../lib/deploy/transfer/transfers.ts'

const HOUR_MS = 60 * 60 * 1000

/** Work that ends when its signal is aborted. */
const untilAborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason))
  })

test.each([
  [4, 1],
  [16, 2],
  [1000, 4],
])('with %i connections, %i run at once', async (capacity, most) => {
  const transfers = new Transfers(() => capacity)
  const running = Array.from({ length: most }, () => transfers.run(HOUR_MS, untilAborted))
  const one = transfers.run(HOUR_MS, async () => 'done')
  await expect(one).rejects.toMatchObject({ code: 'pool_exhausted' })
  await Promise.all([
    transfers.end(),
    ...running.map((run) => expect(run).rejects.toMatchObject({ code: 'connection_failed' })),
  ])
  expect(await transfers.run(HOUR_MS, async () => 'done')).toBe('done')
  await transfers.drained()
})

test('what takes too long is aborted', async () => {
  const transfers = new Transfers(() => 100)
  await expect(transfers.run(1, untilAborted)).rejects.toMatchObject({
    code: 'query_timeout',
    message: expect.stringContaining('DEPLOY_TIMEOUT_SECS'),
  })
})
