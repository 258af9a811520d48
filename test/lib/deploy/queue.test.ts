import { describe, expect, test } from 'vitest'
import { KeyedQueue } from '../../../lib/deploy/queue.ts'

/** Work that ends when it is told to, in a queue that lets `concurrency` run. */
function newQueue(concurrency: number, maxWaiting = 100) {
  const log: string[] = []
  const queue = new KeyedQueue({
    concurrency: () => concurrency,
    maxWaiting: () => maxWaiting,
    isWorthAlone: (error) => (error as Error).message === 'short',
  })
  const start = (key: string, name: string, failures: string[] = []) => {
    const ends: (() => void)[] = []
    const done = queue.run(key, async () => {
      log.push(`${name} begins`)
      await new Promise<void>((resolve) => ends.push(resolve))
      log.push(`${name} ends`)
      const failure = failures.shift()
      if (failure) throw new Error(failure)
      return name
    })
    done.catch(() => {})
    return { done, end: () => ends.shift()!() }
  }
  const settle = () => new Promise((resolve) => setImmediate(resolve))
  return { log, start, settle, queue }
}

describe('KeyedQueue', () => {
  test('one at a time for a key, so many altogether, in order', async () => {
    const { log, start, settle } = newQueue(2)
    const [a, b, c, d] = [start('x', 'a'), start('x', 'b'), start('y', 'c'), start('z', 'd')]
    await settle()
    expect(log).toEqual(['a begins', 'c begins'])
    c.end()
    await settle()
    expect(log.at(-1)).toBe('d begins')
    a.end()
    await settle()
    expect(log.at(-1)).toBe('b begins')
    b.end()
    d.end()
    expect(await Promise.all([a.done, b.done, c.done, d.done])).toEqual(['a', 'b', 'c', 'd'])
  })

  test('what failed for want of something runs once more alone, behind those who wait', async () => {
    const { log, start, settle } = newQueue(2)
    const [a, b, c] = [start('a', 'a', ['short']), start('b', 'b'), start('c', 'c')]
    await settle()
    a.end()
    await settle()
    expect(log).toEqual(['a begins', 'b begins', 'a ends', 'c begins'])
    const d = start('d', 'd')
    b.end()
    await settle()
    expect(log.at(-1)).toBe('b ends')
    c.end()
    await settle()
    expect(log.slice(-2)).toEqual(['c ends', 'a begins'])
    a.end()
    expect(await a.done).toBe('a')
    await settle()
    expect(log.at(-1)).toBe('d begins')
    d.end()
    await d.done
  })

  test('it is the second failure that is told', async () => {
    const { start, settle, queue } = newQueue(2)
    const a = start('a', 'a', ['short', 'broken'])
    await settle()
    a.end()
    await settle()
    a.end()
    await expect(a.done).rejects.toThrow('broken')
    await queue.drained()
  })

  test('refuses one more than may wait', async () => {
    const { start, settle } = newQueue(1, 1)
    const [a, b] = [start('a', 'a'), start('b', 'b')]
    await expect(start('c', 'c').done).rejects.toMatchObject({ code: 'pool_exhausted' })
    await settle()
    a.end()
    await settle()
    b.end()
    expect(await b.done).toBe('b')
  })
})
