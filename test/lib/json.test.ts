import { describe, expect, test, vi } from 'vitest'
import { GatewayError } from '../../lib/errors.ts'
import { isNumber, type JsonValue, jsonText, numberText, parseJson } from '../../lib/json.ts'

describe('numbers keep every digit', () => {
  test.each([
    '0',
    '-0',
    '-0.0',
    '0.0',
    '7',
    '-7',
    '1.5',
    '1.50',
    '100.00',
    '0.1',
    '0.10000000000000000000000000000000000001',
    '1e3',
    '1E3',
    '1e+3',
    '1.0e-7',
    '1e400',
    '-1e-400',
    '9007199254740992',
    '9007199254740993',
    '9223372036854775807',
    '-9223372036854775808',
    '12345678901234567890',
  ])('%s', (text) => {
    const value = parseJson(text)
    expect(isNumber(value)).toBe(true)
    expect(numberText(value)).toBe(text)
    expect(jsonText(value)).toBe(text)
  })

  test('a thousand of them', () => {
    for (const text of ['1'.repeat(1000), `-0.${'9'.repeat(1000)}`, `${'7'.repeat(1000)}e-5`]) {
      expect(numberText(parseJson(text))).toBe(text)
      expect(jsonText(parseJson(`[${text}]`))).toBe(`[${text}]`)
    }
  })

  test('within arrays and objects, in their places', () => {
    const text = '{"a":[1.50,{"b":-0,"1.50":1.50},[[1e400]],"1.50"],"c":12345678901234567890}'
    expect(jsonText(parseJson(text))).toBe(text)
  })

  test('next to every kind of punctuation and white space', () => {
    const value = parseJson('\t{ "a" :\r\n 1.50 , "b":[ 2.50,3.50 ,\n4.50\t],"c":{"d":-5.0}}  ')
    expect(jsonText(value)).toBe('{"a":1.50,"b":[2.50,3.50,4.50],"c":{"d":-5.0}}')
  })

  test('those that JavaScript holds as they are written are numbers', () => {
    expect(parseJson('[1, -2, 1.5, 123456789012345]')).toEqual([1, -2, 1.5, 123456789012345])
  })
})

describe('strings stay strings', () => {
  test.each([
    ['1.50'],
    ['-0'],
    ['12345678901234567890'],
    ['a "1.50" b'],
    ['\\'],
    ['\\\\'],
    ['\\"'],
    ['ends with a backslash 1.50\\'],
    ['", 1.50, "'],
    ['\\", 1.50, "'],
    ['\n\t\b\f\r\u0000\u001f'],
    ['\u2028\u2029'],
    ['é 山田 😀'],
    ['{"a":1.50}'],
    [''],
  ])('%j', (text) => {
    const body = `{"before":1.50,${JSON.stringify(text)}:${JSON.stringify(text)},"after":[-0]}`
    const value = parseJson(body) as { [key: string]: JsonValue }
    expect(value[text]).toBe(text)
    expect(isNumber(value[text]!)).toBe(false)
    expect(jsonText(value)).toBe(body)
  })

  test('escapes mean the characters that they stand for', () => {
    const value = parseJson('[1.50,"\\u0031.50","\\/","\\ud83d\\ude00","\\u005c\\u0022"]')
    expect(value).toEqual([expect.anything(), '1.50', '/', '😀', '\\"'])
  })

  test('half a surrogate pair is kept, for whoever reads the value to refuse', () => {
    const [value] = parseJson('["\\ud800",1.50]') as JsonValue[]
    expect(value).toBe('\ud800')
  })
})

describe('values that are no numbers', () => {
  test.each(['"1.50"', 'true', 'false', 'null', '[]', '{}', '[1.50]'])('%s', (text) => {
    expect(isNumber(parseJson(text))).toBe(false)
    expect(jsonText(parseJson(text))).toBe(text)
  })
})

describe('nobody can pass a string off as a number', () => {
  test('what stands for a number here is a string in every other process', async () => {
    const mark = parseJson('1.50')
    vi.resetModules()
    const other = await import('../../lib/json.ts')
    expect(other.isNumber(mark)).toBe(false)
    const body = JSON.stringify([mark, 'x'])
    expect(other.jsonText(other.parseJson(`[${body},2.50]`))).toBe(`[${body},2.50]`)
  })
})

describe('objects', () => {
  test('keep keys that JavaScript objects have already', () => {
    const text = '{"__proto__":1.50,"constructor":{"toString":null},"hasOwnProperty":2}'
    const value = parseJson(text) as { [key: string]: JsonValue }
    expect(Object.hasOwn(value, '__proto__')).toBe(true)
    expect(jsonText(value)).toBe(text)
  })

  test('have the last of two values of one key', () => {
    expect(jsonText(parseJson('{"a":1.50,"a":2.50}'))).toBe('{"a":2.50}')
  })
})

describe('what is not JSON', () => {
  test.each([
    '',
    ' ',
    '{',
    '{"a":1.50',
    '{"a":1.50,}',
    '{a:1.50}',
    "{'a':1.50}",
    '{1.50:2}',
    '[1.50 2.50]',
    '[01.50]',
    '[1.]',
    '[.5]',
    '[+1.50]',
    '[-]',
    '[1.5.5]',
    '[1e]',
    '["1.50]',
    '["\\x",1.50]',
    '["\n",1.50]',
    '[1.50] 2.50',
    '[NaN]',
    '[Infinity]',
    'undefined',
    '\ufeff{}',
  ])('%j is refused', (text) => {
    expect(() => parseJson(text)).toThrow(GatewayError)
    expect(() => parseJson(text)).toThrow(
      expect.objectContaining({ code: 'invalid_request', status: 400 }),
    )
  })

  test('the message says where', () => {
    expect(() => parseJson('{"a":1.50,}')).toThrow(/^The body is not JSON: .*position 10/)
    expect(() => parseJson('[1.50,"x]')).toThrow(/^The body is not JSON: .*position 9/)
    expect(() => parseJson('[1.50,nope]')).toThrow(/^The body is not JSON: .*'o', "\[1\.50,nope\]"/)
  })
})

describe('big texts take linear time', () => {
  test.each([
    ['escapes', `[1.50,"${'\\n'.repeat(4_000_000)}"]`],
    ['escaped quotes', `[1.50,"${'\\"'.repeat(3_000_000)}"]`],
    ['backslashes', `[1.50,"${'\\\\'.repeat(3_000_000)}"]`],
    ['backslashes before quotes', `[1.50,"${'\\\\\\"'.repeat(1_000_000)}"]`],
    ['strings', `[${'"x",'.repeat(500_000)}1.50]`],
    ['numbers', `[${'1.50,'.repeat(300_000)}1.50]`],
    ['one number', '1'.repeat(5_000_000)],
    ['one fraction', `0.${'0'.repeat(5_000_000)}`],
    ['digits in a string', `[1.50,"${'1'.repeat(5_000_000)}"]`],
  ])('%s', (_, text) => {
    // Compared as a condition: the report of a difference would take longer than the test.
    expect(jsonText(parseJson(text)) === text).toBe(true)
  })

  test('a text that is not JSON is refused as fast', () => {
    for (const text of [
      '['.repeat(5_000_000),
      `["${'\\"'.repeat(2_000_000)}`,
      `${'1'.repeat(5_000_000)}x`,
    ]) {
      expect(() => parseJson(text)).toThrow(GatewayError)
    }
  })
})

describe('deep texts', () => {
  const nested = (levels: number) => `${'['.repeat(levels)}1.50${']'.repeat(levels)}`

  test('are taken up to 1000 levels', () => {
    expect(jsonText(parseJson(nested(1000)))).toBe(nested(1000))
    const objects = `${'{"a":'.repeat(1000)}1${'}'.repeat(1000)}`
    expect(jsonText(parseJson(objects))).toBe(objects)
  })

  test.each([
    ['arrays', nested(1001)],
    ['objects', `${'{"a":'.repeat(1001)}1${'}'.repeat(1001)}`],
    ['beside flat values', `[1,{"a":2},${nested(1001)},3]`],
    ['a million of them', nested(1_000_000)],
  ])('are refused beyond: %s', (_, text) => {
    expect(() => parseJson(text)).toThrow('The body is nested more than 1000 levels deep')
  })
})
