import { expect, test } from 'vitest'
import type { FunctionFacts, SchemaFacts } from '../../../../../lib/call/signatures/facts.ts'
import { judge } from '../../../../../lib/call/signatures/verdict/judge.ts'
import { withKnownCodes } from '../../../../../lib/call/signatures/verdict/known-codes.ts'

// A release changes a few functions of thousands: the others are not parsed again.

const routine = (name: string, body: string): FunctionFacts => ({
  name,
  schema: 'public',
  types: '',
  kind: 'function',
  language: 'sql',
  volatility: 'v',
  isBuiltin: false,
  definition: `create function public.${name}() returns int language sql as $f$ ${body} $f$`,
  settings: null,
  parts: null,
  isAttribute: false,
  signature: {} as FunctionFacts['signature'],
})

const schema = (functions: FunctionFacts[], volatileBuiltins: string[] = []): SchemaFacts => ({
  functions,
  relations: [],
  hiddenFunctions: [],
  hiddenExpressions: [],
  eventTriggers: [],
  volatileBuiltins,
  hasOddStrings: false,
})

const readsOf = async (facts: SchemaFacts) => (await judge(facts)).map(({ reads }) => reads)
const unknownIn = (facts: SchemaFacts) =>
  facts.functions.flatMap(({ name }, i) => (withKnownCodes(facts).codes[i] ? [] : [name]))

test('functions that were read are known, whatever else has changed', async () => {
  const [inner, outer] = [routine('inner', 'select 1'), routine('outer', 'select public.inner()')]
  const other = routine('other', 'select lower(chr(65))::text is null')
  const first = schema([inner, outer, other])
  expect(unknownIn(first)).toEqual(['inner', 'outer', 'other'])
  expect(await readsOf(first)).toEqual([true, true, true])
  expect(unknownIn(first)).toEqual([])
  expect(withKnownCodes(first).facts.functions.map(({ definition }) => definition)).toEqual([
    '',
    '',
    '',
  ])

  // What is known of a function is what it does by itself: whom it calls may do something else now.
  const writes = routine('inner', 'delete from pg_temp.t returning 1')
  const second = schema([writes, outer, other])
  expect(unknownIn(second)).toEqual(['inner'])
  expect(await readsOf(second)).toEqual([false, false, true])
  expect(await readsOf(first)).toEqual([true, true, true])

  // Another PostgreSQL has other functions that are volatile.
  const elsewhere = schema([inner, outer, other], ['chr'])
  expect(unknownIn(elsewhere)).toEqual(['inner', 'outer', 'other'])
  expect(await readsOf(elsewhere)).toEqual([true, true, false])
})
