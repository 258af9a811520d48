import { expect, test } from 'vitest'
import { settingSql } from '../../../../lib/deploy/database/settings.ts'

test.each([
  ['work_mem=8MB', `"work_mem" to '8MB'`],
  [`application_name=it's "x", y`, `"application_name" to 'it''s "x", y'`],
  ['application_name=a\\b', `"application_name" to  E'a\\\\b'`],
  ['app.user=a=b', `"app"."user" to 'a=b'`],
  ['search_path="$user", public, "a ""b"', `"search_path" to '$user', 'public', 'a "b'`],
  ['search_path=""', `"search_path" to ''`],
])('%s', (setting, sql) => {
  expect(settingSql(setting)).toBe(sql)
})
