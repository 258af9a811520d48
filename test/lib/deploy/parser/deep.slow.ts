import { expect, test } from 'vitest'
import { splitStatements } from '../../../../lib/deploy/parser/parser.ts'

test('texts that are too deep for the parser leave no later text unread', async () => {
  const deep = `select 1${'+1'.repeat(60_000)};`
  await Promise.allSettled(Array(32).fill(deep).map(splitStatements))
  expect(await splitStatements('select 1; select 2')).toHaveLength(2)
})
