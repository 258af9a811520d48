import { describe, expect, test } from 'vitest'
import { databaseName, sanitize } from '../../../lib/tenancy/names.ts'
import {
  type GivenOwner,
  parseNamedOwner,
  parseScope,
  parseStoredOwner,
} from '../../../lib/tenancy/owners.ts'
import { newAsker } from '../../helpers/asker.ts'
import { jsonOfValue } from '../../helpers/json.ts'

const UUID = '0B5D6A3E-8f1c-4d6e-9f57-0a4c3b2d1e0f'
const FOLDED = '0b5d6a3e_8f1c_4d6e_9f57_0a4c3b2d1e0f'

const nameOf = (given: GivenOwner) => databaseName(parseNamedOwner(newAsker(), given))
const storedName = (given: GivenOwner) => databaseName(parseStoredOwner(newAsker(), given).owner)

test.each([
  ['Clinic-001', 'clinic_001'],
  ['__a.b c__', 'a_b_c'],
  ['v1.0', 'v1_0'],
  ['aäb', 'a_b'],
  ['_-.', ''],
])('%j is sanitised to %j', (text, name) => expect(sanitize(text)).toBe(name))

describe('schema_name and uuid', () => {
  test.each([
    [{ schema_name: 'hr', uuid: UUID }, `p_hr_${FOLDED}`],
    [{ schema_name: 'hr', uuid: FOLDED }, `p_hr_${FOLDED}`],
    [{ schema_name: 'HR.Core', uuid: 'x' }, 'p_hr_core_x'],
    [{ schema_name: 'hr' }, 'p_hr'],
    [{ schema_name: 'hr', uuid: null }, 'p_hr'],
    [{ schema_name: 'hr', uuid: '' }, 'p_hr'],
    [{ schema_name: 'hr', uuid: 'main' }, 'p_hr'],
    [{ schema_name: 'hr', uuid: 'MAIN' }, 'p_hr'],
    [{ schema_name: 'main' }, 'p_main'],
    [{ schema_name: 'main', uuid: 'x' }, 'p_main_x'],
    [{ schema_name: 'hr', uuid: 'x', tenant_id: null }, 'p_hr_x'],
    [{ schema_name: null, uuid: null, tenant_id: 't' }, 'p_t'],
    [{}, 'p_main'],
  ])('%j is the database %s', (given, name) => {
    expect(nameOf({ platform: 'p', ...given })).toBe(name)
    const json = Object.entries(given).map(([key, value]) => [key, jsonOfValue(value)])
    expect(nameOf({ platform: 'p', ...Object.fromEntries(json) })).toBe(name)
  })

  test('"main" without a uuid is the main database of before, as an owner too', () => {
    const owner = { platform: 'p', tenantId: null, schema: null }
    expect(parseNamedOwner(newAsker(), { platform: 'p', schema_name: 'main' })).toEqual(owner)
    expect(parseScope(newAsker(), { platform: 'p', schema_name: 'Main' })).toEqual({
      ...owner,
      schema: 'main',
    })
  })

  test.each<[GivenOwner, string]>([
    [{ schema_name: 'hr', tenant_id: 't' }, 'tenant_id and schema_name are both given'],
    [{ uuid: 'u', tenant_id: 't' }, 'tenant_id and uuid are both given'],
    [{ uuid: 'u' }, 'schema_name is missing'],
    [{ schema_name: jsonOfValue('') }, 'schema_name is missing'],
    [{ schema_name: '__', uuid: 'u' }, 'schema_name must be'],
    [{ schema_name: 'a/b', uuid: 'u' }, 'schema_name must be'],
    [{ schema_name: 'hr', uuid: '--' }, 'uuid must have a letter or a digit'],
    [{ schema_name: 'hr', uuid: jsonOfValue('null') }, 'uuid is "null"'],
    [{ schema_name: 'hr', uuid: jsonOfValue(7) }, 'uuid must be a string; got 7'],
    [{ schema_name: jsonOfValue(7) }, 'schema_name must be a string; got 7'],
    [{ schema_name: 'hr', uuid: 'x'.repeat(60) }, 'schema_name and uuid give the database name'],
  ])('%j is refused', (given, message) => {
    expect(() => nameOf({ platform: 'p', ...given })).toThrow(message)
  })

  test('null as a text is the base in a form or a URL', () => {
    expect(nameOf({ platform: 'p', schema_name: 'hr', uuid: 'null' })).toBe('p_hr')
  })

  test('name a platform that the address may not name', () => {
    const asker = { ...newAsker(), mayName: () => false }
    const given = { platform: 'p', schema_name: 'hr', uuid: 'x' }
    expect(() => parseNamedOwner(asker, given)).toThrow('PLATFORM_NETWORKS')
    expect(() => parseStoredOwner(asker, { ...given, uuid: null, database_id: 'x' })).toThrow(
      'PLATFORM_NETWORKS',
    )
  })
})

describe('database_id, beside which schema_name is a stored schema', () => {
  test.each<[GivenOwner, string]>([
    [{ database_id: 'Clinic-001' }, 'p_clinic_001'],
    [{ database_id: 'acme.com' }, 'p_acme_com'],
    [{ database_id: null }, 'p_main'],
    [{ database_id: '' }, 'p_main'],
    [{ database_id: 'main' }, 'p_main'],
    [{ database_id: null, uuid: 'x' }, 'p_v1_0_x'],
    [{ database_id: null, uuid: null }, 'p_v1_0'],
    [{ database_id: 'x', uuid: null }, 'p_x'],
    [{ uuid: UUID }, `p_v1_0_${FOLDED}`],
    [{}, 'p_v1_0'],
  ])('%j is the database %s', (given, name) => {
    expect(storedName({ platform: 'p', schema_name: 'v1.0', ...given })).toBe(name)
    expect(parseStoredOwner(newAsker(), { platform: 'p', schema_name: 'v1.0' }).schemaName).toBe(
      'v1.0',
    )
  })

  test('keeps the spelling that a tenant_id would have', () => {
    const given = { platform: 'p', schema_name: 'latest', database_id: 'Clinic-001' }
    expect(parseStoredOwner(newAsker(), given).owner.tenantId).toBe('Clinic-001')
  })

  test.each<[GivenOwner, string]>([
    [{ database_id: 'x', uuid: 'y' }, 'uuid and database_id are both given'],
    [{ database_id: '..' }, 'database_id must have a letter or a digit'],
    [{ schema_name: null }, 'schema_name is missing'],
    [{ database_id: 'x'.repeat(70) }, 'give the database name'],
  ])('%j is refused', (given, message) => {
    const all = { platform: 'p', schema_name: 'v1.0', ...given }
    expect(() => storedName(all)).toThrow(message)
  })
})
