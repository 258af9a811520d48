import { expect, test } from 'vitest'
import type { SchemaFile } from '../../../../lib/archive/archive.ts'
import { readDirectives } from '../../../../lib/deploy/plan/directives.ts'
import { psqlRefusal, runnableText } from '../../../../lib/deploy/run/sql-text.ts'

const file = (text: string, path = 'migrations/1_x.sql'): SchemaFile => ({
  path,
  name: path.replace(/^[^/]*\//, ''),
  text,
  checksum: '',
  rawChecksum: '',
})

test('the way back becomes blanks, and everything else keeps its place', () => {
  const text = '-- migrate:down\ndrop table a;\n-- migrate:up\ncreate table a ();\n'
  expect(runnableText(file(text))).toBe(
    `${' '.repeat(15)}\n${' '.repeat(13)}\n-- migrate:up\ncreate table a ();\n`,
  )
  expect(runnableText(file(text, 'functions/x.sql'))).toBe(text)
})

test('a text that only speaks of a way back is as it was', () => {
  const text = `select 'migrate:down'; -- see migrate:down\nselect 1;`
  expect(runnableText(file(text))).toBe(text)
})

test('\\restrict becomes blanks in every section', () => {
  expect(runnableText(file('\\restrict abc\nselect 1;', 'tables/x.sql'))).toBe(
    `${' '.repeat(13)}\nselect 1;`,
  )
})

test.each([
  ['select 1;\n\\connect x', 10, '\\connect is a command of psql'],
  ['COPY a (b) FROM stdin;\n1\n\\.\n', 0, 'COPY with data'],
])('%j', (text, offset, said) => {
  expect(psqlRefusal(text)).toMatchObject({ offset, refusal: expect.stringContaining(said) })
})

test('a slip is not psql’s', () => {
  expect(psqlRefusal(`select '\\d' fro x`)).toBeUndefined()
})

test.each<[string, boolean, boolean, string[], boolean]>([
  ['-- gateway: no-transaction\nselect 1', true, false, [], false],
  ['-- gateway: allow-data-loss, No_Transaction', true, true, [], false],
  ['/* a */\n-- b\n\n  --gateway:no-transaction\nselect 1', true, false, [], false],
  ['-- gateway: no-transactions\nselect 1', false, false, ['no-transactions'], false],
  ['select 1;\n-- gateway: no-transaction', false, false, [], true],
  ['-- migrate:up transaction:false\nselect 1', true, false, [], false],
  ['-- +goose NO TRANSACTION\n-- +goose Up\nselect 1', true, false, [], false],
  ['select 1', false, false, [], false],
])('directives of %j', (text, noTransaction, allowDataLoss, unknown, isLate) => {
  expect(readDirectives(file(text))).toEqual({
    noTransaction,
    allowDataLoss,
    unknown,
    misspelt: [],
    isLate,
  })
})

test.each([['-- gatway: no-transaction'], ['-- no_transaction'], ['--Gateway no-transaction']])(
  '%s is no directive, and looks like one',
  (line) => {
    expect(readDirectives(file(`${line}\nselect 1`))).toMatchObject({
      noTransaction: false,
      misspelt: [line],
    })
  },
)
