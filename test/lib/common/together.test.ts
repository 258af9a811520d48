import { expect, test } from 'vitest'
import { Together } from '../../../lib/common/together.ts'

/** Work that is done when the test says so. */
function workByHand() {
  const begun: { items: string[]; end: (error?: Error) => void }[] = []
  const work = (items: string[]) =>
    new Promise<string[]>((resolve, reject) => {
      const done = items.map((item) => `${item} done`)
      begun.push({ items, end: (error) => (error ? reject(error) : resolve(done)) })
    })
  return { begun, work, items: () => begun.map((one) => one.items) }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

test('what comes while work is done is done at once afterwards', async () => {
  const { begun, work, items } = workByHand()
  const together = new Together(work, 2)
  const results = Promise.all(['a', 'b', 'c', 'd'].map((item) => together.run(item)))
  expect(items()).toEqual([['a']])
  for (let i = 0; i < 3; i++) {
    begun[i]!.end()
    await settled()
  }
  expect(items()).toEqual([['a'], ['b', 'c'], ['d']])
  expect(await results).toEqual(['a done', 'b done', 'c done', 'd done'])
  const later = together.run('e')
  begun[3]!.end()
  expect(await later).toBe('e done')
})

test('what fails for several is done for each by itself', async () => {
  const { begun, work, items } = workByHand()
  const together = new Together(work, 10)
  const results = Promise.allSettled(['a', 'b', 'c'].map((item) => together.run(item)))
  begun[0]!.end(new Error('a'))
  await settled()
  begun[1]!.end(new Error('both'))
  await settled()
  begun[2]!.end(new Error('b'))
  begun[3]!.end()
  expect(await results).toMatchObject([
    { reason: { message: 'a' } },
    { reason: { message: 'b' } },
    { value: 'c done' },
  ])
  expect(items()).toEqual([['a'], ['b', 'c'], ['b'], ['c']])
})
