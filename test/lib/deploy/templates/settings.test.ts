import { expect, test } from 'vitest'
import { settingSql } from '../../../../lib/deploy/templates/copy.ts'

test.each([
  ['work_mem=8MB', `"work_mem" to E'8MB'`],
  [`application_name=it's \\ "x", y`, `"application_name" to E'it\\'s \\\\ "x", y'`],
  ['app.user=a=b', `"app"."user" to E'a=b'`],
  ['search_path="$user", public, "a ""b"', `"search_path" to E'$user', E'public', E'a "b'`],
  ['search_path=""', `"search_path" to E''`],
])('%s', (setting, sql) => {
  expect(settingSql(setting)).toBe(sql)
})
