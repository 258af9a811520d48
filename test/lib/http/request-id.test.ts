import { expect, it } from 'vitest'
import { newRequestId } from '../../../lib/http/request-id.ts'

it('ids are random UUIDs, also beyond those that are made at a time', () => {
  const ids = Array.from({ length: 1000 }, newRequestId)
  expect(new Set(ids).size).toBe(1000)
  const others = ids.filter(
    (id) => !/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/.test(id),
  )
  expect(others).toEqual([])
})
