import { availableParallelism } from 'node:os'
import { expect, test } from 'vitest'
import { readSetting } from '../../../lib/config/setting.ts'
import { ALL_SETTINGS } from '../../../lib/config/settings.ts'
import { readConfig } from '../../../lib/config.ts'

test('each setting has one row, and its default or example parses', () => {
  const names = ALL_SETTINGS.map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
  for (const setting of ALL_SETTINGS) {
    const text = setting.default ?? setting.example
    if (text === undefined) continue
    const value = readSetting({ [setting.name]: ` ${text} ` }, setting)
    if (setting.default !== undefined) expect(value, setting.name).toEqual(setting.unset)
  }
})

test('every row is read: a value that does not parse stops the start and is named', () => {
  const wrong: Record<string, string> = {
    DATABASE_COPY: 'x',
    GATEWAY_HOST: 'a b',
    LOG_LEVEL: 'loud',
    ADMIN_NETWORKS: 'x',
  }
  const numbers = ALL_SETTINGS.filter(({ range }) => range).map(({ name }) => [name, 'x'])
  for (const [name, value] of [...Object.entries(wrong), ...numbers] as [string, string][]) {
    expect(() => readConfig({ [name]: value }), name).toThrow(new RegExp(`^${name}: "${value}"`))
  }
})

test.each([
  ['MAX_CONNECTIONS_PER_POOL', '1', 'from 2 to 100000'],
  ['STATEMENT_TIMEOUT_SECS', '0', 'from 1 to 2147483'],
  ['START_TIMEOUT_SECS', '2147484', 'from 0 to 2147483'],
  ['MAX_BUFFERED_BYTES', '1048575', 'from 1048576 to 1099511627776'],
])('%s=%s is beyond the limits of its row', (name, value, limits) => {
  expect(() => readConfig({ [name]: value })).toThrow(
    `${name}: "${value}" is not a whole number ${limits}`,
  )
})

test('WORKERS is one by default, and with auto as many as there are cores', () => {
  expect(readConfig({}).workers).toBe(1)
  expect(readConfig({ WORKERS: 'auto' }).workers).toBe(availableParallelism())
  expect(() => readConfig({ WORKERS: '0' })).toThrow(/^WORKERS: /)
})

test('durations are milliseconds', () => {
  expect(readConfig({})).toMatchObject({ statementTimeoutMs: 30_000, startTimeoutMs: 60_000 })
  expect(readConfig({ START_TIMEOUT_SECS: '0' }).startTimeoutMs).toBe(0)
})
