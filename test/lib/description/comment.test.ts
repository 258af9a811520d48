import { expect, test } from 'vitest'
import { parseComment } from '../../../lib/description/comment.ts'

test('the tags of a comment are taken out of its text', () => {
  const parsed = parseComment(
    [
      'Takes money.',
      '',
      'Of the account.  ',
      '@param p_amount How much,',
      '  in euros',
      '  @error P0001 The balance',
      'is too low',
      '@error PT404',
      '@column o_left What is left',
      '@not_null o_left, p_amount  o_at',
    ].join('\r\n'),
  )
  expect(parsed).toEqual({
    about: 'Takes money.\n\nOf the account.',
    errors: [
      { sqlstate: 'P0001', about: 'The balance is too low' },
      { sqlstate: 'PT404', about: '' },
    ],
    params: new Map([['p_amount', 'How much, in euros']]),
    columns: new Map([['o_left', 'What is left']]),
    notNull: new Set(['o_left', 'p_amount', 'o_at']),
  })
})

test('an error without an SQLSTATE is text of the function, and two of one SQLSTATE are one', () => {
  const text =
    '@param p_id The patient\n@error 42 short\nand more\n@error P0001\n@error P0001 Twice'
  expect(parseComment(text)).toEqual({
    about: '@error 42 short\nand more',
    errors: [{ sqlstate: 'P0001', about: 'Twice' }],
    params: new Map([['p_id', 'The patient']]),
    columns: new Map(),
    notNull: new Set(),
  })
})

test.each([
  '@error',
  '@error nothing',
  '@erroneous P0001 x',
  'a @error P0001',
  '@not_null',
  'a@b.c',
])('%s is text', (text) => {
  expect(parseComment(text)).toEqual({
    about: text,
    errors: [],
    params: new Map(),
    columns: new Map(),
    notNull: new Set(),
  })
})
