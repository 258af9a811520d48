import fc from 'fast-check'

import { between, hundredths, integer, range } from './arbitraries.ts'
import {
  nothing,
  numbers,
  type OwnType,
  quoted,
  type RandomType,
  type Sample,
  strings,
} from './samples.ts'
import { SCALARS } from './scalars.ts'

/** Returns an array type of the type, with one or two dimensions and nulls. */
export function arrayOf({ type, values, isArray, extension }: RandomType): RandomType {
  const elements = fc.option(values, { nil: nothing(type), freq: 5 })
  const flat = fc.array(elements, { maxLength: 5 })
  const grid = fc
    .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 }))
    .chain(([height, width]) => {
      const row = fc.array(elements, { minLength: width, maxLength: width }).map(list)
      return fc.array(row, { minLength: height, maxLength: height })
    })
  const array = `${type}[]`
  const shapes = isArray ? flat : fc.oneof({ weight: 3, arbitrary: flat }, grid)
  return {
    type: array,
    values: shapes.map(list).map(({ json, sql }) => ({ json, sql: `${sql}::${array}` })),
    ...(extension && { extension }),
  }
}

function list(samples: Sample[]): Sample {
  return {
    json: `[${samples.map((one) => one.json).join(',')}]`,
    sql: `array[${samples.map((one) => one.sql).join(',')}]`,
  }
}

/** Returns a composite type; a null field is a null member of the object, or is left out. */
function composite(name: string, fields: Record<string, RandomType>): OwnType {
  const all = Object.entries(fields).map(([field, { type, values }]) =>
    fc
      .tuple(fc.option(values, { nil: nothing(type), freq: 5 }), fc.boolean())
      .map(([one, isLeftOut]) => ({
        sql: one.sql,
        pair: one.json === 'null' && isLeftOut ? [] : [`${JSON.stringify(field)}:${one.json}`],
      })),
  )
  const columns = Object.entries(fields).map(
    ([field, { type }]) => `"${field.replaceAll('"', '""')}" ${type}`,
  )
  return {
    type: name,
    definition: `create type ${name} as (${columns.join(', ')})`,
    values: fc.tuple(...all).map((samples) => ({
      json: `{${samples.flatMap(({ pair }) => pair).join(',')}}`,
      sql: `row(${samples.map(({ sql }) => sql).join(',')})::${name}`,
    })),
  }
}

function domain(name: string, base: RandomType, check: string): OwnType {
  return {
    type: name,
    definition: `create domain ${name} as ${base.type} ${check}`,
    values: base.values.map(({ json, sql }) => ({ json, sql: `${sql}::${name}` })),
    ...(base.isArray && { isArray: true }),
  }
}

export const known = (type: string) => SCALARS.find((one) => one.type === type)!

const MOODS = ['happy', 'so so', `it's "ok", {really}`, 'NULL', 'é😀']

const mood: OwnType = {
  ...strings('mood', fc.constantFrom(...MOODS)),
  definition: `create type mood as enum (${MOODS.map(quoted).join(', ')})`,
}

const floatrange: OwnType = {
  ...strings('floatrange', range(between(-1e9, 1e9), hundredths)),
  definition: 'create type floatrange as range (subtype = float8)',
}

const positive = domain(
  'positive',
  numbers('integer', integer(1n, 2n ** 31n - 1n)),
  'check (value > 0)',
)

const amount = domain('amount', known('numeric'), '')

const ids: OwnType = {
  ...domain('ids', arrayOf(known('bigint')), 'check (cardinality(value) < 100)'),
  isArray: true,
}

const document = domain('document', known('jsonb'), `check (value is distinct from '"no"')`)

const pair = composite('pair', { n: known('numeric'), 'T "x"': known('text') })

const place = composite('place', {
  at: known('timestamptz'),
  pair,
  pairs: arrayOf(pair),
  mood,
  moods: arrayOf(mood),
  document,
  raw: known('json'),
  grid: arrayOf(known('integer')),
  ids,
  amount,
  bytes: known('bytea'),
  range: known('tstzrange'),
})

/** Types such as platforms define, in the order of their creation. */
export const OWN: OwnType[] = [
  mood,
  floatrange,
  positive,
  amount,
  ids,
  document,
  pair,
  domain('known_pair', pair, ''),
  place,
]
