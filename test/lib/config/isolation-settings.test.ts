import { expect, test } from 'vitest'
import { readConfig } from '../../../lib/config.ts'
import { readMark, writeMark } from '../../../lib/tenancy/roles/role-mark.ts'

test('platforms have roles of their own unless ISOLATION says otherwise', () => {
  expect(readConfig({}).isolation).toBe('platform-roles')
  expect(readConfig({ ISOLATION: 'shared' }).isolation).toBe('shared-role')
  expect(readConfig({ ISOLATION: 'shared-role' }).isolation).toBe('shared-role')
  expect(() => readConfig({ ISOLATION: 'none' })).toThrow(
    'ISOLATION: "none" is not one of platform-roles, shared',
  )
})

test('new databases come from template0 unless BASE_TEMPLATE says otherwise', () => {
  expect(readConfig({}).baseTemplate).toBe('template0')
  expect(readConfig({ BASE_TEMPLATE: 'with ext' }).baseTemplate).toBe('with ext')
  expect(() => readConfig({ BASE_TEMPLATE: 'x'.repeat(64) })).toThrow(/^BASE_TEMPLATE: .*63 bytes/)
})

test('DATABASE_COPY is a strategy of CREATE DATABASE', () => {
  expect(readConfig({}).databaseCopy).toBe('wal_log')
  expect(readConfig({ DATABASE_COPY: 'file_copy' }).databaseCopy).toBe('file_copy')
  expect(() => readConfig({ DATABASE_COPY: 'clone' })).toThrow(
    'DATABASE_COPY: "clone" is not one of wal_log, file_copy',
  )
})

test('GATEWAY_SECRET_PREVIOUS is as long as a secret; an error does not tell it', () => {
  expect(readConfig({}).previousSecret).toBeUndefined()
  expect(() => readConfig({ GATEWAY_SECRET_PREVIOUS: 'hunter2' })).toThrow(
    /^GATEWAY_SECRET_PREVIOUS: has 7 characters(?!.*hunter2)/,
  )
})

test('the mark of a role says whose it is; gateways of before said less', () => {
  const catalog = '0a0b0c0d-0000-4000-8000-000000000000'
  expect(readMark(writeMark('a-fingerprint_16', catalog))).toEqual({
    fingerprint: 'a-fingerprint_16',
    catalog,
  })
  expect(readMark('Database Gateway, abc')).toEqual({ fingerprint: 'abc', catalog: null })
  expect(readMark('Database Gateway')).toEqual({ fingerprint: null, catalog: null })
  for (const comment of [null, '', 'Database Gatewayx', 'My Database Gateway, abc']) {
    expect(readMark(comment)).toBeUndefined()
  }
})
