import { describe, expect, test } from 'vitest'

// What PostgreSQL says of a value (to_json, ::text) is asked on a connection of its own. Answers
// are compared as text, since JSON.parse would lose digits.

import { both, define, isExpanded, quote, rowsText, SCALARS, say, setUp, TYPES } from './setup.ts'

setUp()

describe('a value comes back as PostgreSQL writes it', () => {
  test.each(TYPES.map((one, i) => [one.type, i, one] as const))('%s', async (type, i, one) => {
    for (const value of one.values) {
      const [json, expression] = both(one, value)
      const said = await say(`to_json(${expression})`)
      const rows = isExpanded(type) ? `[${said}]` : `[{"id_${i}":${said}}]`
      expect(await rowsText(`id_${i}`, `[${json}]`), json).toBe(rows)
      expect(await rowsText(`id_${i}`, `{"p_value":${json}}`), json).toBe(rows)
    }
  })
})

describe('a value arrives as PostgreSQL reads it', () => {
  test.each(TYPES.map((one, i) => [one.type, i, one] as const))('%s', async (_, i, one) => {
    for (const value of one.values) {
      const [json, expression] = both(one, value)
      const said = await say(`to_json(${expression}::text)`)
      expect(await rowsText(`text_${i}`, `[${json}]`), json).toBe(`[{"text_${i}":${said}}]`)
    }
  })
})

describe('the elements of an array', () => {
  test.each(SCALARS.map((one, i) => [one.type, i, one] as const))('%s[]', async (type, i, one) => {
    // A cast of the array would cut its elements to the declared length, which a parameter is not.
    const { cast = type } = one
    for (const value of one.values) {
      const [json, expression] = both(one, value)
      // An array within an array is another dimension, whatever the type.
      if (json.startsWith('[')) continue
      const said = await say(`to_json(array[${expression}, null, ${expression}]::${cast}[])`)
      const text = await rowsText(`ids_${i}`, `[[${json},null,${json}]]`)
      expect(text, json).toBe(`[{"ids_${i}":${said}}]`)
    }
  })
})

describe('the fields of a composite', () => {
  test.each(TYPES.map((one, i) => [one.type, i, one] as const))('%s', async (type, i, one) => {
    for (const value of one.values) {
      const [json, expression] = both(one, value)
      // Unlike a parameter's, the declared length of a field holds.
      const isCut = ['varchar(3)', 'char(3)', 'bit'].includes(type)
      if (isCut && json.length > 5) continue
      const said = await say(`to_json(row(${expression})::box_${i})`)
      expect(await rowsText(`box_${i}`, `[{"v":${json}}]`), json).toBe(`[${said}]`)
    }
  })
})

describe('null', () => {
  test.each(TYPES.map(({ type }, i) => [type, i] as const))('%s is SQL NULL', async (type, i) => {
    if (type === 'good_pair') return
    expect(await rowsText(`text_${i}`, '[null]')).toBe(`[{"text_${i}":null}]`)
    const nulls = isExpanded(type)
      ? await say(`to_json(json_populate_record(null::${type}, '{}'))`)
      : `{"id_${i}":null}`
    expect(await rowsText(`id_${i}`, '[null]')).toBe(`[${nulls}]`)
  })

  test('jsonb has no other null; within JSON it is what it is', async () => {
    await define(`
      create function is_null(p_value jsonb) returns boolean language sql
      as $$ select p_value is null $$
    `)
    expect(await rowsText('is_null', '[null]')).toBe('[{"is_null":true}]')
    expect(await rowsText('is_null', '[[null]]')).toBe('[{"is_null":false}]')
  })
})

describe('arrays and composites may be written as PostgreSQL writes them', () => {
  test.each([
    ['integer[]', '{1,NULL,{2}', false],
    ['integer[]', '{1,NULL,2}', true],
    ['integer[]', '[0:1]={7,8}', true],
    ['text[]', '{"a,b",c}', true],
    ['pair', '(1.50,"a b")', true],
    ['pair[]', '{"(1,a)"}', true],
    ['mood[]', '{happy,"so so"}', true],
  ])('%s: %s', async (type, literal, isValid) => {
    const i = TYPES.findIndex((one) => one.type === type)
    const text = await rowsText(`text_${i}`, JSON.stringify([literal]))
    if (isValid) {
      const said = await say(`to_json(${quote(literal)}::${type}::text)`)
      expect(text).toBe(`[{"text_${i}":${said}}]`)
    } else {
      expect(text).toContain('"error":"invalid_request"')
    }
  })
})
