import { expect, test } from 'vitest'
import { WrittenBefore } from '../../../lib/servers/written.ts'

/** A look at a server that ends when the test says so. */
interface Look {
  resolve(): void
  reject(error: Error): void
}

function looked() {
  const server = new WrittenBefore()
  const looks: Look[] = []
  server.check = () => new Promise((resolve, reject) => looks.push({ resolve, reject }))
  return { server, looks }
}

test('many who ask at once whether a server is itself share one look, which begins after all of them', async () => {
  const { server, looks } = looked()
  const told: string[] = []
  const ask = (name: string) =>
    server.beSure(name).then(
      () => told.push(name),
      ({ code, details }) => told.push(`${name}: ${code} ${details.database}`),
    )
  const first = ask('first')
  const later = [ask('second'), ask('third')]
  expect(looks).toHaveLength(1)
  // The server may have become an older copy since the first look began.
  looks[0]!.resolve()
  await first
  expect(told).toEqual(['first'])
  await expect.poll(() => looks.length).toBe(2)
  looks[1]!.reject(new Error('is an older copy'))
  await Promise.all(later)
  expect(told.slice(1)).toEqual([
    'second: connection_failed second',
    'third: connection_failed third',
  ])
  expect(looks).toHaveLength(2)
})
