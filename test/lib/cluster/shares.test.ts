import { describe, expect, test } from 'vitest'
import { divide, type Sharer } from '../../../lib/cluster/shares.ts'

const sharer = (id: string, share: number, cap = 20): Sharer => ({ id, share, cap })

describe('the share of a gateway', () => {
  test('is all of it where there is no other', () => {
    expect(divide(sharer('a', 1), [])).toMatchObject({ target: 20, share: 20 })
  })

  test('shrinks at once, and grows only into what the others have given up', () => {
    expect(divide(sharer('a', 20), [sharer('b', 1)])).toMatchObject({ target: 10, share: 10 })
    expect(divide(sharer('b', 1), [sharer('a', 20)])).toMatchObject({ target: 10, share: 1 })
    expect(divide(sharer('b', 1), [sharer('a', 13)])).toMatchObject({ target: 10, share: 7 })
    expect(divide(sharer('b', 7), [sharer('a', 10)])).toMatchObject({ target: 10, share: 10 })
  })

  test('comes to the cap with those of the others, also where it does not divide', () => {
    const all = ['a', 'b', 'c'].map((id) => sharer(id, 1))
    const targets = all.map(
      (one) =>
        divide(
          one,
          all.filter((other) => other !== one),
        ).target,
    )
    expect(targets).toEqual([7, 7, 6])
  })

  test('is no more than the server has', () => {
    expect(divide(sharer('a', 1, 3), [])).toEqual({ target: 3, share: 3, isTooSmall: false })
  })

  test('is of the smallest cap that any has', () => {
    expect(divide(sharer('a', 1, 100), [sharer('b', 1, 10)])).toMatchObject({ target: 5 })
    expect(divide(sharer('b', 1, 10), [sharer('a', 1, 100)])).toMatchObject({ target: 5 })
  })

  test('is never less than a deploy needs', () => {
    expect(divide(sharer('a', 10, 10), [sharer('b', 1, 10), sharer('c', 1, 10)])).toEqual({
      target: 4,
      share: 4,
      isTooSmall: true,
    })
  })

  test('settles, in whatever order gateways come, go and look, and never passes the cap', () => {
    let gateways = [sharer('a', 20)]
    let seed = 7
    const random = (below: number) => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31
      return seed % below
    }
    for (let step = 0; step < 2000; step++) {
      const what = random(20)
      if (what === 0 && gateways.length < 5) gateways.push(sharer(`${step}`, 1))
      if (what === 1 && gateways.length > 1) gateways.splice(random(gateways.length), 1)
      const one = gateways[random(gateways.length)]!
      one.share = divide(
        one,
        gateways.filter((other) => other !== one),
      ).share
      const starting = gateways.filter(({ share }) => share === 1).length
      const sum = gateways.reduce((total, { share }) => total + share, 0)
      expect(sum).toBeLessThanOrEqual(20 + starting)
    }
    for (let round = 0; round < 3; round++) {
      gateways = gateways.map((one) => {
        one.share = divide(
          one,
          gateways.filter((other) => other !== one),
        ).share
        return one
      })
    }
    expect(gateways.reduce((total, { share }) => total + share, 0)).toBe(20)
  })
})
