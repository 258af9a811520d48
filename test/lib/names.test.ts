import { describe, expect, test } from 'vitest'
import { parseJson } from '../../lib/json.ts'
import { databaseName, parseFunctionName, parseOwner, quoteIdentifier } from '../../lib/names.ts'
import { newAsker } from '../helpers/asker.ts'

describe('the name of a database', () => {
  test.each([
    [{ platform: 'myapp', tenantId: null }, 'myapp_main'],
    [{ platform: 'MyApp', tenantId: 'Clinic-001' }, 'myapp_clinic_001'],
    [{ platform: 'a-b', tenantId: 'c' }, 'a_b_c'],
  ])('of %j is %s', (owner, name) => {
    expect(databaseName(owner)).toBe(name)
  })

  test('of 63 bytes is the longest', () => {
    expect(databaseName({ platform: 'p'.repeat(58), tenantId: null })).toHaveLength(63)
    expect(() => databaseName({ platform: 'p'.repeat(59), tenantId: null })).toThrow('64 bytes')
  })
})

describe('what a request says', () => {
  test.each([undefined, null, '', 'null'])('tenant_id %j means the main database', (tenantId) => {
    expect(parseOwner(newAsker(), 'p', tenantId)).toEqual({ platform: 'p', tenantId: null })
  })

  test.each(['main', 'MAIN', 'a b', 'ä', 'a.b', 'x'.repeat(64), 5, {}])(
    'tenant_id %j is refused by name',
    (tenantId) => {
      expect(() => parseOwner(newAsker(), 'p', tenantId)).toThrow('tenant_id')
    },
  )

  test.each(['Upper', '1st', 'a-b', 'a.b', 'a b', 'a;', 'ä', 'x'.repeat(64), 7, ''])(
    'function %j is refused',
    (name) => {
      expect(() => parseFunctionName(name)).toThrow('function')
    },
  )

  test('is quoted in the error with its own digits', () => {
    expect(() => parseOwner(newAsker(), parseJson('1.50'), null)).toThrow('got 1.50')
  })
})

test('a quoted identifier holds anything', () => {
  expect(quoteIdentifier('we"ird; --')).toBe('"we""ird; --"')
})
