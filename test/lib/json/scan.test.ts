import { describe, expect, test } from 'vitest'
import { GatewayError } from '../../../lib/errors.ts'
import { countOf, elementsOf, type Json, membersOf } from '../../../lib/json/json.ts'
import { scanInSlices, scanJson, scanNow } from '../../../lib/json/scan.ts'
import { jsonOf, jsonOrBytesOf, stringOf } from '../../../lib/json/text.ts'
import { jsonOfText } from '../../helpers/json.ts'
import { longestStall } from '../../helpers/stall.ts'

/** A value as the walk over its bytes finds it. */
function plain(json: Json): unknown {
  if (json.kind === 'string') return stringOf(json)
  if (json.kind === 'array') return elementsOf(json).map(plain)
  if (json.kind !== 'object') return JSON.parse(jsonOf(json))
  return Object.fromEntries(membersOf(json).map(({ key, value }) => [stringOf(key), plain(value)]))
}

describe('numbers are the bytes they were sent as', () => {
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
    const value = jsonOfText(text)
    expect(value.kind).toBe('number')
    expect(jsonOf(value)).toBe(text)
    expect(elementsOf(jsonOfText(`[1, ${text} ,2]`)).map(jsonOf)).toEqual(['1', text, '2'])
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
    const json = JSON.stringify(text)
    const body = jsonOfText(`{"before":1.50,${json}:${json},"after":[-0]}`)
    const [, member] = membersOf(body)
    expect([stringOf(member!.key), stringOf(member!.value)]).toEqual([text, text])
    expect(jsonOf(member!.value)).toBe(json)
  })

  test('escapes mean the characters that they stand for', () => {
    const body = '["\\u0031.50","\\/","\\ud83d\\ude00","\\u005c\\u0022"]'
    expect(plain(jsonOfText(body))).toEqual(['1.50', '/', '😀', '\\"'])
  })

  test('half a surrogate pair is kept, for what reads the value to refuse', () => {
    expect(stringOf(jsonOfText('"\\ud800"'))).toBe('\ud800')
  })
})

describe('members and elements', () => {
  test('are ranges of the bytes, in their order, with their duplicates', () => {
    const members = membersOf(jsonOfText(' { "z" : 1 ,"10":[ 1 , {} ],\n"2":"","z":{"a":[]} } '))
    expect(members.map(({ key, value }) => [jsonOf(key), jsonOf(value)])).toEqual([
      ['"z"', '1'],
      ['"10"', '[ 1 , {} ]'],
      ['"2"', '""'],
      ['"z"', '{"a":[]}'],
    ])
    expect(elementsOf(members[1]!.value).map(jsonOf)).toEqual(['1', '{}'])
  })

  test.each([
    ['[]', 0],
    ['[ ]', 0],
    ['{ }', 0],
    ['[[],[]]', 2],
    ['{"a":{"b":1,"c":2}}', 1],
    ['["a,b","]","\\"]"]', 3],
  ])('of %s are counted: %i', (text, count) => {
    expect(countOf(jsonOfText(text))).toBe(count)
  })

  test('of long values are found without a walk over them', async () => {
    const long = `[${'1,'.repeat(100_000)}2]`
    const text = `{"a":${long},"b":"${'x'.repeat(100_000)}","c":${'7'.repeat(100_000)},"d":[${long}]}`
    const body = await scanJson(Buffer.from(text))
    expect(body.long?.size).toBe(6)
    expect(plain(body)).toEqual(JSON.parse(text.replace(/7{9,}/, (digits) => digits)))
    expect(countOf(membersOf(body)[0]!.value)).toBe(100_001)
    expect(jsonOrBytesOf(membersOf(body)[0]!.value)).toEqual(Buffer.from(long))
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
    expect(() => jsonOfText(text)).toThrow(GatewayError)
    expect(() => jsonOfText(text)).toThrow(
      expect.objectContaining({ code: 'invalid_request', status: 400 }),
    )
  })

  test('the message says where', () => {
    expect(() => jsonOfText('{"a":1.50,}')).toThrow(/^The body is not JSON: .*position 10/)
    expect(() => jsonOfText('[1.50,"x]')).toThrow(/^The body is not JSON: .*position 9/)
    expect(() => jsonOfText('[1.50,nope]')).toThrow(
      /^The body is not JSON: .*'o', "\[1\.50,nope\]"/,
    )
  })
})

describe('a body of 16 MB', () => {
  const MB = 1024 * 1024
  const filled = (piece: string, bytes = 16 * MB) => piece.repeat(Math.floor(bytes / piece.length))

  test.each([
    ['numbers', () => `[${filled('1.0,')}1.0]`],
    ['one number', () => filled('1')],
    ['escapes', () => `"${filled('\\n')}"`],
    ['unicode escapes', () => `"${filled('\\u0041')}"`],
    ['backslashes before quotes', () => `"${filled('\\\\\\"')}"`],
    ['one text', () => `"${filled('é')}"`],
    ['white space', () => `[${filled(' ')}1]`],
    ['empty arrays', () => `[${filled('[],')}[]]`],
    ['nested arrays', () => `[${filled(`${'['.repeat(900)}${']'.repeat(900)},`)}1]`],
    ['a million members', () => `{${filled('"abcdefgh":1.50,')}"a":1}`],
  ])('of %s is scanned in slices', async (_, text) => {
    const bytes = Buffer.from(text())
    let json: Json | undefined
    const ms = await longestStall(async () => {
      json = await scanJson(bytes)
    })
    expect(json).toMatchObject({ start: 0, end: bytes.length })
    // 50 ms at most on a machine that does nothing else.
    expect(ms).toBeLessThan(500)
  })

  test('that is not JSON is refused as fast', async () => {
    for (const text of [filled('['), `["${filled('\\"')}`, `${filled('1')}x`, filled('[[],')]) {
      await expect(scanJson(Buffer.from(text))).rejects.toThrow(GatewayError)
    }
  })
})

describe('deep texts', () => {
  const nested = (levels: number) => `${'['.repeat(levels)}1.50${']'.repeat(levels)}`

  test('are taken up to 1000 levels', () => {
    expect(jsonOf(jsonOfText(nested(1000)))).toBe(nested(1000))
    const objects = `${'{"a":'.repeat(1000)}1${'}'.repeat(1000)}`
    expect(jsonOf(jsonOfText(objects))).toBe(objects)
  })

  test.each([
    ['arrays', nested(1001)],
    ['objects', `${'{"a":'.repeat(1001)}1${'}'.repeat(1001)}`],
    ['beside flat values', `[1,{"a":2},${nested(1001)},3]`],
    ['a million of them', nested(1_000_000)],
  ])('are refused beyond: %s', (_, text) => {
    expect(() => jsonOfText(text)).toThrow('The body is nested more than 1000 levels deep')
  })
})

test('slices of any size give the same', async () => {
  const text = ' {"a\\u0041\\"":[1.5e-7,true,null,"x\\n",{}],"b":{"c":[[]]}} '
  const whole = scanNow(Buffer.from(text))
  for (let size = 1; size <= text.length; size++) {
    expect(await scanInSlices(Buffer.from(text), size)).toEqual(whole)
  }
})
