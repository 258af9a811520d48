import fc from 'fast-check'
import { describe } from 'vitest'
import { bindCall } from '../../lib/call/bind/parameters.ts'
import { resultSql } from '../../lib/call/bind/sql.ts'
import { bindTexts, chooseByNames } from '../../lib/call/bind/url-parameters.ts'
import { NoText, valueText } from '../../lib/call/bind/values.ts'
import { Pace } from '../../lib/call/pace.ts'
import type { Argument, ArgumentKind, Signature } from '../../lib/call/signature.ts'
import { type JsonValue, parseJson } from '../../lib/json.ts'
import { fuzz } from './fuzz.ts'
import { mutatedTexts } from './mutations.ts'

const KINDS: [ArgumentKind, type: string, category: string][] = [
  ['scalar', 'integer', 'N'],
  ['scalar', 'text', 'S'],
  ['json', 'jsonb', 'U'],
  ['json[]', 'jsonb[]', 'A'],
  ['money', 'money', 'N'],
  ['money[]', 'money[]', 'A'],
  ['hstore', 'hstore', 'U'],
  ['hstore[]', 'hstore[]', 'A'],
  ['array[]', 'ids[]', 'A'],
  ['structured', 'integer[]', 'A'],
  ['structured', 'address', 'C'],
  ['polymorphic', 'anyelement', 'P'],
  ['polymorphic', 'anyarray', 'P'],
  ['polymorphic', 'anyrange', 'P'],
]

const TEXTS = [
  '{"a":[1,2.50,{"b":"x\\"y"}],"":null}',
  '[[1,2],[3,null]]',
  '"{1,2}"',
  '[true,"\\u0000","\\ud800"]',
  '12345678901234567890',
  '{"x":{"y":{"z":[[[[[[[[1]]]]]]]]}}}',
]

const values = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<JsonValue>,
  mutatedTexts(TEXTS).map((text) => {
    try {
      return parseJson(text)
    } catch {
      return text
    }
  }),
)

const isNoText = (error: unknown) => error instanceof NoText

/** Text that PostgreSQL could not be sent. */
function checkText(text: string | null): void {
  if (text?.includes('\0')) throw new Error('It holds a NUL character')
}

const signatures: fc.Arbitrary<Signature> = fc
  .record({
    args: fc.array(fc.constantFrom(...KINDS), { maxLength: 4 }),
    named: fc.boolean(),
    defaults: fc.nat(4),
    variadic: fc.boolean(),
  })
  .map(({ args, named, defaults, variadic }) => {
    const list = args.map(
      ([kind, type, category], i): Argument => ({
        name: named ? `p_${i}` : undefined,
        type,
        category,
        kind,
      }),
    )
    return {
      kind: 'function',
      schema: 'public',
      name: 'f',
      arguments: list,
      defaults: Math.min(defaults, list.length),
      variadic: variadic && list.at(-1)?.category === 'A',
      isPolymorphic: list.some(({ kind }) => kind === 'polymorphic'),
      returnsVoid: false,
      isOpenRecord: false,
      outputs: [],
      isReadOnly: true,
      oid: 16_400,
      relation: null,
      identity: 'f()',
      text: 'f()',
      afterwards: 'keep',
      statements: new Map(),
      pace: new Pace(),
    }
  })

describe('parameters', () => {
  const one = fc.tuple(fc.constantFrom(...KINDS), values)
  fuzz(
    'values',
    one,
    ([[kind], value]) => {
      if (kind !== 'polymorphic') checkText(valueText(kind, 'p_a', value).value)
    },
    { isRefusal: isNoText },
  )

  const given = fc.oneof(
    fc.array(values, { maxLength: 4 }),
    fc.dictionary(fc.constantFrom('p_0', 'p_1', 'p_2', 'p_3', '__proto__', 'p_x'), values, {
      maxKeys: 4,
    }),
  )
  const calls = fc.tuple(fc.array(signatures, { minLength: 1, maxLength: 3 }), given)
  fuzz('of a call', calls, ([overloads, params]) => {
    const call = bindCall('f', overloads, params)
    for (const { value } of call.parameters) checkText(value)
    resultSql(call, 1000)
  })

  const urlTexts = mutatedTexts(['1', '[1,2]', '{"a":1}', '{1,2}', 'x y', ''])
  const urlParams = fc.array(
    fc.tuple(
      fc.constantFrom('p_0', 'p_1', 'p_2', '__proto__'),
      fc.array(urlTexts, { minLength: 1, maxLength: 3 }),
    ),
    { maxLength: 3 },
  )
  const queries = fc.tuple(fc.array(signatures, { minLength: 1, maxLength: 2 }), urlParams)
  fuzz('of a URL', queries, ([overloads, pairs]) => {
    const params = new Map(pairs)
    const call = bindTexts(chooseByNames('f', overloads, params), params)
    for (const { value } of call.parameters) checkText(value)
  })
})
