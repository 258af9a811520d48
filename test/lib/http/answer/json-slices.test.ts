import { describe, expect, test } from 'vitest'
import { GatewayError } from '../../../../lib/errors.ts'
import {
  answerInSlices,
  isLong,
  jsonBytesInSlices,
  jsonInSlices,
} from '../../../../lib/http/answer/json-slices.ts'

const LONG = Array.from({ length: 1001 }, (_, i) => ({ i, text: `"${i}"`, none: undefined }))

describe('JSON in slices', () => {
  test.each([
    { a: 1, list: LONG, text: 'ä"\\', none: undefined, nothing: null, end: [] },
    { list: [undefined, null, () => 1, new Date(0), ...LONG], map: { list: LONG } },
    { short: [1, 2], deep: { list: LONG } },
    {},
  ])('is what JSON.stringify writes', async (value) => {
    expect(await jsonInSlices(value)).toBe(JSON.stringify(value))
    expect(`${await jsonBytesInSlices(value)}`).toBe(JSON.stringify(value))
  })

  test('of an error, too: long texts are cut, errors within are written', async () => {
    const within = new GatewayError('database_not_found', 'x'.repeat(5000), { database: 'd' })
    const error = new GatewayError('connection_failed', 'm'.repeat(5000), {
      cause: 'c'.repeat(5000),
      results: LONG.map((one) => ({ ...one, error: within })),
      database: 'd',
    })
    expect(isLong(error)).toBe(true)
    expect(await jsonInSlices(error)).toBe(JSON.stringify(error))
  })

  test('takes turns with everything else', async () => {
    let turns = 0
    let isDone = false
    const count = () => {
      turns++
      if (!isDone) setImmediate(count)
    }
    setImmediate(count)
    await jsonInSlices({ list: LONG })
    isDone = true
    expect(turns).toBeGreaterThanOrEqual(10)
  })

  test('is the answer where there is much of it', async () => {
    const short = { list: [1] }
    expect(await answerInSlices(short)).toBe(short)
    const answer = (await answerInSlices({ list: LONG })) as { body: string; headers: Headers }
    expect(JSON.parse(answer.body)).toEqual(JSON.parse(JSON.stringify({ list: LONG })))
    expect(new Headers(answer.headers).get('content-type')).toBe('application/json; charset=utf-8')
  })
})
