import { describe, expect, test } from 'vitest'
import { difference, readValues } from './answers.ts'

const compare = (shown: string, actual: string) => difference(readValues(shown), readValues(actual))

describe('what a page shows', () => {
  test.each([
    ['{"a":1}', '{"a":1}'],
    ['{"a":1, …}', '{"b":2,"a":1}'],
    ['{"a":…}', '{"a":[1]}'],
    ['[1, …]', '[1,2,3]'],
    ['{"a":"one…"}', '{"a":"one two"}'],
    ['{"took_ms":3}', '{"took_ms":12}'],
    ['{"a":"{…"}{"b":2}', '{"a":"{x"}\n{"b":2}'],
  ])('%s is the answer %s', (shown, actual) => {
    expect(compare(shown, actual)).toBeUndefined()
  })

  test.each([
    ['{"a":1}', '{"a":2}'],
    ['{"a":1}', '{"a":1,"b":2}'],
    ['{"a":1, …}', '{"b":2}'],
    ['[1]', '[1,2]'],
    ['[1, …]', '[2,3]'],
    ['{"a":"one…"}', '{"a":"two"}'],
    ['{"took_ms":3}', '{"took_ms":"3"}'],
    ['{"a":1}', '{"a":1}{"b":2}'],
    ['{"a":{"b":1}}', '{"a":{"b":null}}'],
  ])('%s is not the answer %s', (shown, actual) => {
    expect(compare(shown, actual)).toEqual(expect.any(String))
  })
})
