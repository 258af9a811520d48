import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteBudget, type Holder } from '../../../lib/http/byte-budget.ts'

const gone = new Error('gone')

/** Takes, and tells whether it has been granted. */
function take(budget: ByteBudget, holder: Holder, bytes: number) {
  const state = { isGranted: false, error: undefined as unknown }
  const result = budget.take(holder, bytes)
  if (result === true) state.isGranted = true
  else
    result.then(
      () => {
        state.isGranted = true
      },
      (error) => {
        state.error = error
      },
    )
  return state
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('bodies', () => {
  test('get the first half of the budget', () => {
    const budget = new ByteBudget(100)
    expect([budget.tryTake(30), budget.tryTake(20), budget.tryTake(1)]).toEqual([true, true, false])
    budget.give(20)
    expect(budget.tryTake(20)).toBe(true)
    expect(budget.taken).toBe(50)
  })

  test('one that is larger than that gets it where nothing else is held', () => {
    const budget = new ByteBudget(100)
    expect(budget.tryTake(500)).toBe(true)
    expect(budget.tryTake(1)).toBe(false)
    budget.give(500)
    expect(budget.taken).toBe(0)
  })
})

describe('answers', () => {
  test('wait in order, and one that is small does not pass one that is large', async () => {
    const budget = new ByteBudget(100)
    const [a, b, c] = [budget.newHolder(), budget.newHolder(), budget.newHolder()]
    expect(budget.take(a, 90)).toBe(true)
    const second = take(budget, b, 50)
    const third = take(budget, c, 5)
    await settled()
    expect([second.isGranted, third.isGranted]).toEqual([false, false])
    budget.end(a, gone)
    await settled()
    expect([second.isGranted, third.isGranted]).toEqual([true, true])
    expect(budget.taken).toBe(55)
  })

  test('that each hold a part and want more do not wait for each other for ever', async () => {
    const budget = new ByteBudget(100)
    const [a, b] = [budget.newHolder(), budget.newHolder()]
    expect([budget.take(a, 50), budget.take(b, 50)]).toEqual([true, true])
    const second = take(budget, b, 50)
    await settled()
    expect(second.isGranted).toBe(false)
    const first = take(budget, a, 50)
    await settled()
    // The oldest goes on, as often as it asks, and passes the budget alone.
    expect([first.isGranted, second.isGranted]).toEqual([true, false])
    const more = take(budget, a, 10)
    await settled()
    expect([more.isGranted, second.isGranted, budget.taken]).toEqual([true, false, 160])
    budget.end(a, gone)
    await settled()
    expect([second.isGranted, budget.taken]).toEqual([true, 100])
  })

  test('one that leaves the queue lets those behind it go on', async () => {
    const budget = new ByteBudget(100)
    const [a, b, c] = [budget.newHolder(), budget.newHolder(), budget.newHolder()]
    budget.take(a, 90)
    const second = take(budget, b, 50)
    const third = take(budget, c, 5)
    budget.end(b, gone)
    await settled()
    expect([second.error, third.isGranted]).toEqual([gone, true])
  })

  test('one that waits twice, and holds less meanwhile, leaves nothing behind', async () => {
    const budget = new ByteBudget(100)
    const [a, b, c] = [budget.newHolder(), budget.newHolder(), budget.newHolder()]
    budget.take(a, 70)
    budget.take(b, 30)
    const first = take(budget, b, 50)
    budget.hold(b, 10)
    const second = take(budget, b, 60)
    budget.end(a, gone)
    await settled()
    expect([first.isGranted, second.isGranted, budget.taken]).toEqual([true, true, 120])
    budget.end(b, gone)
    const large = take(budget, c, 200)
    await settled()
    expect([large.isGranted, budget.taken]).toEqual([true, 200])
    budget.end(c, gone)
    expect([budget.taken, budget.waiting]).toEqual([0, 0])
  })

  test('whatever holders do, the budget is whole again when all have ended', async () => {
    const step = fc.record({
      who: fc.nat(3),
      kind: fc.nat(3),
      bytes: fc.integer({ min: 0, max: 150 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const budget = new ByteBudget(100)
        const holders = [0, 1, 2, 3].map(() => budget.newHolder())
        for (const { who, kind, bytes } of steps) {
          const holder = holders[who]!
          if (kind === 0) budget.hold(holder, bytes)
          else if (kind === 1) budget.leave(holder, gone)
          else take(budget, holder, bytes)
          await settled()
        }
        for (const holder of holders) budget.end(holder, gone)
        expect([budget.taken, budget.waiting]).toEqual([0, 0])
        // Where nothing is held, nothing keeps one that is larger than the budget.
        const large = take(budget, budget.newHolder(), 200)
        const behind = take(budget, budget.newHolder(), 1)
        await settled()
        expect([large.isGranted, behind.isGranted]).toEqual([true, false])
      }),
      { numRuns: 300 },
    )
  })

  test('whatever happens, all end, and the budget is passed by one answer at most', async () => {
    const pieces = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 })
    const answers = fc.array(fc.record({ pieces, delay: fc.nat(3), isCut: fc.boolean() }), {
      maxLength: 12,
    })
    await fc.assert(
      fc.asyncProperty(answers, async (all) => {
        const budget = new ByteBudget(100)
        let most = 0
        await Promise.all(
          all.map(async ({ pieces, delay, isCut }) => {
            const holder = budget.newHolder()
            for (const bytes of pieces) {
              const admitted = budget.take(holder, bytes)
              if (admitted !== true && isCut) {
                admitted.catch(() => {})
                break
              }
              await admitted
              most = Math.max(most, budget.taken)
            }
            for (let i = 0; i < delay; i++) await settled()
            budget.end(holder, gone)
          }),
        )
        const largest = Math.max(0, ...all.map(({ pieces }) => pieces.reduce((a, b) => a + b)))
        expect(most).toBeLessThanOrEqual(100 + largest)
        expect([budget.taken, budget.waiting]).toEqual([0, 0])
      }),
      { numRuns: 300 },
    )
  })
})
