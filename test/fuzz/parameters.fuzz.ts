import fc from 'fast-check'
import { describe } from 'vitest'
import { bindCall } from '../../lib/call/bind/parameters.ts'
import { NoText } from '../../lib/call/bind/text.ts'
import { bindTexts, chooseByNames } from '../../lib/call/bind/url-parameters.ts'
import { plainValue, structuredValue, type ValueText } from '../../lib/call/bind/values.ts'
import { callStatement } from '../../lib/call/run/statement.ts'
import type {
  Argument,
  ArgumentKind,
  Signature,
  TypeShapes,
} from '../../lib/call/signatures/signature.ts'
import type { Json } from '../../lib/json/json.ts'
import { runNow } from '../../lib/json/slices.ts'
import { boundNow, jsonOfText } from '../helpers/json.ts'
import { signatureOf } from '../helpers/signatures.ts'
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
  ['structured', 'bytea[]', 'A'],
  ['structured', 'address', 'C'],
  ['bytea', 'bytea', 'U'],
  ['polymorphic', 'anyelement', 'P'],
  ['polymorphic', 'anyarray', 'P'],
  ['polymorphic', 'anyrange', 'P'],
]

const SHAPES: TypeShapes = {
  address: {
    kind: 'composite',
    attributes: { a: 'hstore', x: 'address', y: 'text', z: 'bytea', '': 'hstore' },
  },
  hstore: { kind: 'hstore' },
  'hstore[]': { kind: 'array', of: 'hstore' },
  bytea: { kind: 'bytea' },
  'bytea[]': { kind: 'array', of: 'bytea' },
}

const TEXTS = [
  '{"a":[1,2.50,{"b":"x\\"y"}],"":null}',
  '[[1,2],[3,null]]',
  '"{1,2}"',
  '[true,"\\u0000","\\ud800"]',
  '12345678901234567890',
  '{"x":{"y":{"z":[[[[[[[[1]]]]]]]]}}}',
]

/** A JSON text. */
const values = fc.oneof(
  fc.json({ maxDepth: 4 }),
  mutatedTexts(TEXTS).map((text) => (isJson(text) ? text : JSON.stringify(text))),
)

function isJson(text: string): boolean {
  try {
    jsonOfText(text)
    return true
  } catch {
    return false
  }
}

function boundValue(kind: ArgumentKind, type: string, value: Json): ValueText {
  const argument = argumentOf([kind, type, 'U'], 'p_a')
  const given = { argument, label: 'p_a', value, named: false, variadic: false }
  return plainValue(kind, value) ?? runNow(structuredValue(kind, SHAPES, given))
}

function argumentOf([kind, type, category]: (typeof KINDS)[number], name: string | null): Argument {
  const element = type.endsWith('[]') ? type.slice(0, -2) : null
  return { name, type, category, preferred: type === 'text', kind, element, default: 'null' }
}

const isNoText = (error: unknown) => error instanceof NoText

/** Text that PostgreSQL could not be sent. */
function checkText(text: string | Buffer | null): void {
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
    const list = args.map((one, i) => argumentOf(one, named ? `p_${i}` : null))
    return {
      ...signatureOf(list, SHAPES),
      defaults: Math.min(defaults, list.length),
      variadic: variadic && list.at(-1)?.category === 'A',
      volatility: 'stable',
    }
  })

describe('parameters', () => {
  const one = fc.tuple(fc.constantFrom(...KINDS), values)
  fuzz(
    'values',
    one,
    ([[kind, type], text]) => {
      if (kind !== 'polymorphic') checkText(boundValue(kind, type, jsonOfText(text)).value)
    },
    { isRefusal: isNoText },
  )

  const names = fc.constantFrom('p_0', 'p_1', 'p_2', 'p_3', '__proto__', 'p_x')
  const given = fc.oneof(
    fc.array(values, { maxLength: 4 }).map((list) => `[${list.join()}]`),
    fc
      .array(fc.tuple(names, values), { maxLength: 4 })
      .map((list) => `{${list.map(([name, value]) => `"${name}":${value}`).join()}}`),
  )
  const calls = fc.tuple(fc.array(signatures, { minLength: 1, maxLength: 3 }), given)
  fuzz('of a call', calls, ([overloads, params]) => {
    const call = boundNow(bindCall('f', overloads, jsonOfText(params)))
    for (const { value } of call.parameters) checkText(value)
    callStatement(call, 1000)
  })

  const urlTexts = mutatedTexts(['1', '[1,2]', '{"a":1}', '{1,2}', 'x y', ''])
  const urlParams = fc.array(
    fc.tuple(
      fc.constantFrom('p_0', 'p_1', 'p_2', '__proto__'),
      fc.array(fc.option(urlTexts), { minLength: 1, maxLength: 3 }),
    ),
    { maxLength: 3 },
  )
  const queries = fc.tuple(fc.array(signatures, { minLength: 1, maxLength: 2 }), urlParams)
  fuzz('of a URL', queries, ([overloads, pairs]) => {
    const params = new Map(pairs)
    const call = boundNow(bindTexts(chooseByNames('f', overloads, params), params))
    for (const { value } of call.parameters) checkText(value)
  })
})
