import { describe, expect, test } from 'vitest'
import { withoutValues } from '../../../lib/activity/without-values.ts'
import { maskPlans } from '../../../lib/usage/slow/mask-plan.ts'

const plan = (text: string) => maskPlans([{ ms: 1, text: `Query Text: ${text}` }])!

describe.each([
  ['the statement of a session', withoutValues],
  ['a plan', plan],
])('%s', (_, mask) => {
  test.each([
    ['a backslash is a character', String.raw`select 'C:\', 's3cret'`],
    ['also behind the name of a type that ends with e', String.raw`select name'C:\', 's3cret'`],
    ['escapes', String.raw`select E'a\'s3cret', e'\\', 's3cret'`],
    ['a text with escapes that is continued', "select E'a' -- one\n  '\\'s3cret' , 's3cret'"],
    ['truncated behind a backslash', String.raw`select 's3cret\ `.trim()],
    ['truncated behind an escape', String.raw`select E'a\'s3cret\ `.trim()],
    ['comments in comments', "select 1 /* a /* b */ s3cret ' */, 's3cret'"],
    ['a tag of other letters than ASCII', 'select $ä$s3cret$ä$'],
    ['a name with dollars', "select a$b$, 'a $b$ s3cret'"],
    ['a parameter before a text', 'select $1 $$s3cret$$'],
    ['digits', 'select 4711.5e3, .4711, array[4711,-4711], 0x4711, 4711_000'],
    ['a comment that ends with a carriage return', "select 1 -- it's\r, 's3cret'"],
  ])('shows no value: %s', (_title, text) => {
    expect(mask(text)).not.toMatch(/s3cret|4711/)
  })

  // A text of 32 KB took 17 s: whoever writes functions chooses the text.
  test.each([
    '\n',
    '\n ',
    "'",
    '"',
    '$',
    '$a',
    '/*',
    '*/',
    '--',
    "E'\\",
    '(cost=1',
    '\nBuffers: ',
    '\n  Rows Removed by a',
    "E'' ",
    "E''/**/",
    '1.',
  ])('takes a time that is proportional to its length: %j', (part) => {
    const begun = performance.now()
    for (const end of ['', "'", '"x', '\\']) mask(`x${part.repeat(32_000 / part.length)}${end}`)
    expect(performance.now() - begun).toBeLessThan(2000)
  })
})
