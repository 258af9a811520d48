import fc from 'fast-check'
import type postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  becomePlatform,
  connectTo,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { arrayOf, OWN } from '../helpers/random-values/own-types.ts'
import type { RandomType } from '../helpers/random-values/samples.ts'
import { SCALARS } from '../helpers/random-values/scalars.ts'

// What PostgreSQL makes of a value is asked on a connection of its own, in its simple protocol.
// A failure prints the seed and the path that show it again: FUZZ_SEED takes the seed.

const RUNS = Number(process.env.FUZZ_RUNS ?? 4)
const SEED = process.env.FUZZ_SEED === undefined ? {} : { seed: Number(process.env.FUZZ_SEED) }

const platform = uniqueName('random')
let gateway: TestGateway
let sql: postgres.Sql
let available: Set<string>

const PLAIN = [...SCALARS, ...OWN]
const TYPES = [...PLAIN, ...PLAIN.map(arrayOf)]

beforeAll(async () => {
  gateway = await startTestGateway()
  const { body } = await gateway.register(platform, await pack(textFunction('ping', 'pong')))
  expect(body).toMatchObject({ status: 'ready' })
  sql = connectTo(`${platform}_main`)
  await becomePlatform(sql)
  await sql.unsafe(`set timezone = 'UTC'; set client_min_messages = 'error'`)
  const extensions = await sql`select name from pg_available_extensions`
  available = new Set(extensions.map(({ name }) => name))
  for (const extension of new Set(SCALARS.map((one) => one.extension))) {
    if (extension && available.has(extension)) await sql.unsafe(`create extension ${extension}`)
  }
  if (await hasXml()) available.add('xml')
  for (const { definition } of OWN) await sql.unsafe(definition)
  for (const [i, type] of TYPES.entries()) {
    if (isAvailable(type)) await sql.unsafe(functionOf(type, i))
  }
})
afterAll(async () => {
  await sql.end()
  await gateway.stop()
})

/** A server may be built without it. */
const hasXml = () =>
  sql.unsafe(`select '<a/>'::xml`).then(
    () => true,
    () => false,
  )

const isAvailable = ({ type, extension }: RandomType) =>
  /^xml\b/.test(type) ? available.has('xml') : !extension || available.has(extension)

/** Answers its parameter, and what it is as text. */
const functionOf = ({ type }: RandomType, i: number) => `
  create function echo_${i}(p_value ${type}) returns table (value ${type}, text text) language sql
  as $$ select p_value, p_value::text $$
`

/** The row of the answer to a call, as it is written. */
async function answer(name: string, params: string): Promise<string> {
  const response = await fetch(`${gateway.url}/call`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: `{"platform":"${platform}","function":"${name}","params":${params}}`,
  })
  const text = await response.text()
  return /^\{"rows":\[(.*)\],"row_count":1,"execution_time_ms":\d+\}$/s.exec(text)?.[1] ?? text
}

/** What PostgreSQL says of the value of an expression: the row, and the value alone. */
async function said(expression: string): Promise<{ row: string; value: string }> {
  const [one] = await sql.unsafe(`
    select row_to_json(r)::text as row, coalesce(to_json(r.value)::text, 'null') as value
    from (select ${expression} as value, (${expression})::text as text) r
  `)
  return one as unknown as { row: string; value: string }
}

/** Of these no platform has values: what PostgreSQL's catalogs and indexes are made of. */
const INTERNAL =
  /^(aclitem|cid|xid|gtsvector|txid_snapshot|(int2|oid)vector|pg_(node_tree|ndistinct|dependencies|mcv_list|brin_.*)|reg(?!class|type).*)$/

test('no type of PostgreSQL is missing here', async () => {
  const tested = TYPES.filter(isAvailable).map(({ type }) => type)
  const missing = await sql`
    select typname as name
    from pg_type
    where typnamespace = 'pg_catalog'::regnamespace and typtype in ('b', 'r', 'm')
      and typcategory <> 'A'
      and oid <> all (select type::regtype from unnest(${sql.array(tested)}::text[]) as type)
  `
  expect(missing.map(({ name }) => name).filter((name) => !INTERNAL.test(name))).toEqual([])
})

describe('a random value arrives as PostgreSQL reads it, leaves as it writes it, and may come back', () => {
  test.for(TYPES.map((type, i) => [type.type, type, i] as const))(
    '%s',
    async ([, type, i], { skip }) => {
      if (!isAvailable(type)) skip('this server does not have it')
      const property = fc.asyncProperty(type.values, fc.boolean(), async (sample, isNamed) => {
        const params = (json: string) => (isNamed ? `{"p_value":${json}}` : `[${json}]`)
        const { row, value } = await said(sample.sql)
        expect(await answer(`echo_${i}`, params(sample.json))).toBe(row)
        expect(await answer(`echo_${i}`, params(value))).toBe(row)
      })
      await fc.assert(property, { numRuns: RUNS, ...SEED })
    },
  )
})
