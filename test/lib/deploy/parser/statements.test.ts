import { describe, expect, test } from 'vitest'
import { splitStatements } from '../../../../lib/deploy/parser/parser.ts'

describe('the statements of a file', () => {
  test('are where they stand in the text, whatever letters come before them', async () => {
    const text = "select 'é'; select '😀';\n-- ü\nselect 3"
    const statements = await splitStatements(text)
    expect(statements.map((one) => one.text)).toEqual(["select 'é'", "select '😀'", 'select 3'])
    for (const one of statements) expect(text.indexOf(one.text)).toBe(one.offset)
  })

  // Counting the characters before each from the start would take many minutes.
  test('may be a hundred thousand behind an umlaut', async () => {
    const statements = await splitStatements(`select 'ü';${'select 1;'.repeat(100_000)}`)
    expect(statements).toHaveLength(100_001)
    expect(statements.at(-1)?.offset).toBe("select 'ü';".length + 99_999 * 'select 1;'.length)
  })

  test.each(['(', 'not ', '1 + ', '- '])(
    'nested more deeply than the parser goes with %j are left to PostgreSQL, and the next ones are read',
    async (nesting) => {
      const text = `select ${nesting.repeat(1_000_000)}1; select 2`
      expect(await splitStatements(text)).toMatchObject([{ text, offset: 0 }])
      expect(await splitStatements('select 1; select 2')).toHaveLength(2)
    },
  )
})

test('a chain that is deeper than the stack is refused, and other texts are read meanwhile', async () => {
  const deep = `select ''${" || 'b'".repeat(12_000)};`
  const [first, other] = await Promise.allSettled([
    splitStatements(deep),
    splitStatements('select 1'),
  ])
  expect(first).toMatchObject({
    status: 'rejected',
    reason: { code: 'schema_extraction_failed', message: expect.stringContaining("select ''") },
  })
  expect(other).toMatchObject({ status: 'fulfilled', value: [{ text: 'select 1' }] })
})
