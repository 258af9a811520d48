import { describe, expect, test } from 'vitest'
import { quoteIdentifier } from '../../../lib/postgres/quote.ts'
import { databaseName, parseFunctionName, parseOwner } from '../../../lib/tenancy/names.ts'
import { newAsker } from '../../helpers/asker.ts'
import { jsonOfText } from '../../helpers/json.ts'

describe('the name of a database', () => {
  test.each([
    [{ platform: 'myapp', tenantId: null, schema: null }, 'myapp_main'],
    [{ platform: 'MyApp', tenantId: 'Clinic-001', schema: null }, 'myapp_clinic_001'],
    [{ platform: 'a-b', tenantId: 'c', schema: null }, 'a_b_c'],
  ])('of %j is %s', (owner, name) => {
    expect(databaseName(owner)).toBe(name)
  })

  test('of 63 bytes is the longest', () => {
    expect(databaseName({ platform: 'p'.repeat(58), tenantId: null, schema: null })).toHaveLength(
      63,
    )
    expect(() => databaseName({ platform: 'p'.repeat(59), tenantId: null, schema: null })).toThrow(
      '64 bytes',
    )
  })
})

describe('what a request says', () => {
  test.each([undefined, null, '', 'null'])('tenant_id %j means the main database', (tenantId) => {
    expect(parseOwner(newAsker(), 'p', tenantId)).toEqual({
      platform: 'p',
      tenantId: null,
      schema: null,
    })
  })

  test.each(['main', 'MAIN', 'a b', 'ä', 'a.b', 'x'.repeat(64)])(
    'tenant_id %j is refused by name',
    (tenantId) => {
      expect(() => parseOwner(newAsker(), 'p', tenantId)).toThrow('tenant_id')
    },
  )

  test.each(['Upper', '1st', 'a-b', 'a.b', 'a b', 'a;', 'ä', 'x'.repeat(64), ''])(
    'function %j is refused',
    (name) => {
      expect(() => parseFunctionName(name)).toThrow('function')
    },
  )

  test.each([
    ['7', 'tenant_id must be a string; got 7'],
    ['1.50', 'tenant_id must be a string; got 1.50'],
    ['{"a":[]}', 'tenant_id must be a string; got {"a":[]}'],
    ['"a b"', 'tenant_id must be 1 to 63 letters, digits, "_" or "-"; got "a b"'],
    [`[${'1,'.repeat(100)}1]`, /^tenant_id must be a string; got \[(1,){39}1…$/],
    [JSON.stringify('x'.repeat(5000)), /^tenant_id must be 1 to 63 .*; got "x{80}…"$/],
  ])('is told in the error as it was sent: %s (C14)', (text, message) => {
    expect(() => parseOwner(newAsker(), 'p', jsonOfText(text))).toThrow(message)
  })

  test('in JSON may have escapes', () => {
    expect(parseOwner(newAsker(), jsonOfText('"\\u0070"'), jsonOfText('null'))).toEqual({
      platform: 'p',
      tenantId: null,
      schema: null,
    })
    expect(() => parseFunctionName(jsonOfText('7'))).toThrow('function must be a string; got 7')
  })

  test('in a query twice is refused', () => {
    expect(() => parseOwner(newAsker(), ['p', 'q'], null)).toThrow('platform is given 2 times')
  })
})

test('a quoted identifier holds anything', () => {
  expect(quoteIdentifier('we"ird; --')).toBe('"we""ird; --"')
})
