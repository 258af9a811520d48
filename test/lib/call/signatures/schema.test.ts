import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import {
  findFunction,
  functionNames,
  type LooseSignature,
  Schemas,
} from '../../../../lib/call/signatures/schema.ts'

function signature(name: string, more: Partial<LooseSignature> = {}): LooseSignature {
  const argument = {
    name: 'p_id',
    type: 'integer',
    category: 'N',
    preferred: false,
    kind: 'scalar',
    element: null,
    default: null,
  } as const
  return {
    kind: 'function',
    schema: 'public',
    name,
    language: 'plpgsql',
    volatility: 'volatile',
    settings: null,
    arguments: [{ ...argument }, { ...argument, name: 'p_name', type: 'text', category: 'S' }],
    defaults: 1,
    variadic: false,
    types: {},
    isPolymorphic: false,
    returnsVoid: false,
    isOpenRecord: false,
    outputs: [],
    relation: null,
    identity: `public.${name}(integer, text)`,
    text: `${name}(p_id integer, p_name text DEFAULT NULL::text)`,
    verdict: {
      reads: true,
      handles: false,
      afterwards: 'keep',
      altersFormats: false,
      commits: false,
    },
    ...more,
  }
}

const many = (count: number) => Array.from({ length: count }, (_, i) => signature(`function_${i}`))

test('functions are found by name, overloads together', () => {
  const schema = new Schemas().add('a', [
    ...many(100),
    signature('function_7', { identity: 'other' }),
  ])
  expect(findFunction(schema, 'function_7')).toHaveLength(2)
  for (let i = 0; i < 100; i++) expect(findFunction(schema, `function_${i}`)).toBeDefined()
  expect(findFunction(schema, 'function_')).toBeUndefined()
  expect(findFunction(schema, 'z')).toBeUndefined()
  expect(functionNames(schema)).toHaveLength(100)
  expect(findFunction(new Schemas().add('b', []), 'a')).toBeUndefined()
})

test('each signature has its own place in each schema', () => {
  const schemas = new Schemas()
  const sets = [
    many(50),
    [signature('first'), ...many(50)],
    many(40).reverse(),
    [...many(20), ...Array.from({ length: 30 }, (_, i) => signature(`new_${i}`))],
    Array.from({ length: 30 }, (_, i) => signature(`new_${i}`)),
    [...many(50), signature('new_3')],
  ]
  for (const [i, functions] of sets.entries()) {
    const schema = schemas.add(String(i), functions)
    const places = schema.functions.flat().map(({ index }) => index)
    expect(new Set(places).size).toBe(functions.length)
    expect(Math.max(...places)).toBe(schema.size - 1)
    expect(schema.size).toBeLessThanOrEqual(2 * functions.length + 64)
  }
})

test('what is equal in two schemas is one object, also when others are forgotten', () => {
  const schemas = new Schemas()
  const first = schemas.add('1', many(200))
  const second = schemas.add('2', [...many(199), signature('function_199', { defaults: 0 })])
  expect(findFunction(second, 'function_3')).toBe(findFunction(first, 'function_3'))
  expect(findFunction(second, 'function_199')).not.toEqual(findFunction(first, 'function_199'))
  schemas.keep(new Set(['2']))
  expect(schemas.get('1')).toBeUndefined()
  expect(schemas.digests()).toEqual(['2'])
  const third = schemas.add('3', many(200))
  expect(findFunction(third, 'function_3')).toBe(findFunction(second, 'function_3'))
})

test('2,000 schemas of 200 functions, no two of them the same, take less than 50 MB', () => {
  const schemas = new Schemas()
  // Without a collection, garbage of before would count, or go unseen in between.
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const used = () => {
    collect()
    return process.memoryUsage().heapUsed
  }
  const before = used()
  for (let i = 0; i < 2000; i++) {
    const functions = many(199)
    functions.push(signature('tenant_own', { text: `tenant_own(p_${i} integer)` }))
    schemas.add(String(i), functions)
  }
  const size = (used() - before) / 2 ** 20
  expect(schemas.size).toBe(2000)
  expect(size).toBeGreaterThan(1)
  expect(size).toBeLessThan(50)
})
