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

// Extensions that the server does not have are left out.

const platform = uniqueName('extension')
let gateway: TestGateway
let sql: postgres.Sql

beforeAll(async () => {
  gateway = await startTestGateway()
  const { body } = await gateway.register(platform, await pack(textFunction('ping', 'pong')))
  expect(body).toMatchObject({ status: 'ready' })
  sql = connectTo(`${platform}_main`)
  await becomePlatform(sql)
})
afterAll(async () => {
  await sql.end()
  await gateway.stop()
})

/** Creates the extension; false where the server does not have it. */
async function has(extension: string): Promise<boolean> {
  const [found] = await sql`select from pg_available_extensions where name = ${extension}`
  if (found) await sql.unsafe(`create extension if not exists ${extension}`)
  return found !== undefined
}

/** The rows of the answer to a call as they are written, or the error. */
async function rowsText(name: string, params: string): Promise<string> {
  const response = await fetch(`${gateway.url}/call`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: `{"platform":"${platform}","function":"${name}","params":${params}}`,
  })
  const text = await response.text()
  return /^\{"rows":(.*),"row_count":1,"execution_time_ms":\d+\}$/s.exec(text)?.[1] ?? text
}

describe('hstore', () => {
  test('is a JSON object both ways, or text as PostgreSQL writes it', async ({ skip }) => {
    if (!(await has('hstore'))) skip()
    await sql.unsafe(`
      create domain tags as hstore check (value ? 'a');
      create function tag(p_tags hstore, out o_text text, out o_tags hstore) language sql
      as $$ select p_tags::text, p_tags $$;
      create function tag_checked(p_tags tags) returns text language sql
      as $$ select p_tags::text $$;
      create function tag_all(p_tags hstore[]) returns text language sql
      as $$ select p_tags::text $$
    `)
    const cases: [json: string, text: string, answer: string][] = [
      ['{}', '""', '{}'],
      ['{"a":"1","b":null}', String.raw`"\"a\"=>\"1\", \"b\"=>NULL"`, '{"a": "1", "b": null}'],
      ['"b=>NULL, a=>1"', String.raw`"\"a\"=>\"1\", \"b\"=>NULL"`, '{"a": "1", "b": null}'],
      // All of its values are text.
      [
        '{"a":1.50,"b":true,"c":[1.0,{}]}',
        String.raw`"\"a\"=>\"1.50\", \"b\"=>\"true\", \"c\"=>\"[1.0,{}]\""`,
        '{"a": "1.50", "b": "true", "c": "[1.0,{}]"}',
      ],
      [
        String.raw`{"=> ,\"\\'":"NULL"}`,
        String.raw`"\"=> ,\\\"\\\\'\"=>\"NULL\""`,
        String.raw`{"=> ,\"\\'": "NULL"}`,
      ],
    ]
    for (const [json, text, answer] of cases) {
      const row = `[{"o_text":${text},"o_tags":${answer}}]`
      expect(await rowsText('tag', `[${json}]`), json).toBe(row)
      expect(await rowsText('tag', `{"p_tags":${answer}}`), json).toBe(row)
    }
    expect(await rowsText('tag', '[null]')).toBe('[{"o_text":null,"o_tags":null}]')
    expect(await rowsText('tag_checked', '[{"a":"x"}]')).toBe(
      String.raw`[{"tag_checked":"\"a\"=>\"x\""}]`,
    )
    expect(await rowsText('tag_all', '[[{"a":"1"},null,"b=>2"]]')).toBe(
      String.raw`[{"tag_all":"{\"\\\"a\\\"=>\\\"1\\\"\",NULL,\"\\\"b\\\"=>\\\"2\\\"\"}"}]`,
    )
  })

  test('that does not convert is a 400 with its parameter', async ({ skip }) => {
    if (!(await has('hstore'))) skip()
    for (const [name, type, ...jsons] of [
      ['tag', 'hstore', '[1]', '"a=>"', '5', '{"a":"nul \\u0000"}', '{"\\ud800":"a"}'],
      ['tag_checked', 'tags', '{"b":"1"}', '{"b":"nul \\u0000"}'],
      ['tag_all', 'hstore[]', '[{"a":"1"},1]', '{"a":"1"}', '[[{"a":"1"}],[]]', '["a"]'],
    ] as const) {
      for (const json of jsons) {
        expect(JSON.parse(await rowsText(name, `[${json}]`)), json).toMatchObject({
          error: 'invalid_request',
          parameter: 'p_tags',
          type,
          message: expect.stringContaining(`Parameter p_tags (${type}) does not convert: `),
        })
      }
    }
  })

  test('takes an object before text does', async ({ skip }) => {
    if (!(await has('hstore'))) skip()
    await sql.unsafe(`
      create function which(p_value hstore) returns text language sql as $$ select 'hstore' $$;
      create function which(p_value text) returns text language sql as $$ select 'text' $$
    `)
    expect(await rowsText('which', '[{}]')).toBe('[{"which":"hstore"}]')
    expect(await rowsText('which', '["a=>1"]')).toBe('[{"which":"text"}]')
  })
})

describe('types that are written as text', () => {
  test.for([
    ['citext', 'citext', 'Straße', null],
    ['ltree', 'ltree', 'a.b_1.c', 'a b'],
    ['ltree', 'lquery', 'a.*{1,2}.!b', 'a.{'],
    ['cube', 'cube', '(1, 2),(3, 4)', 'x'],
    ['seg', 'seg', '1 .. 2.50', 'x'],
    ['isn', 'isbn13', '978-0-393-04002-9', '978-0-393-04002-8'],
    ['intarray', 'query_int', '1 & !( 2 | 3 )', '1 &'],
  ] as const)('%s: %s', async ([extension, type, text, wrong], { skip }) => {
    if (!(await has(extension))) skip('this server does not have it')
    await sql.unsafe(`
      create function id_${type}(p_value ${type}) returns ${type} language sql
      as $$ select p_value $$;
      create function ids_${type}(p_value ${type}[]) returns ${type}[] language sql
      as $$ select p_value $$
    `)
    const json = JSON.stringify(text)
    const [said] = await sql.unsafe(`select to_json('${text}'::${type})::text as value`)
    expect(await rowsText(`id_${type}`, `[${json}]`)).toBe(`[{"id_${type}":${said!.value}}]`)
    expect(await rowsText(`ids_${type}`, `[[${json},null]]`)).toBe(
      `[{"ids_${type}":[${said!.value},null]}]`,
    )
    if (wrong === null) return
    for (const [name, value, declared] of [
      [`id_${type}`, JSON.stringify(wrong), type],
      [`ids_${type}`, JSON.stringify([text, wrong]), `${type}[]`],
    ] as const) {
      expect(JSON.parse(await rowsText(name, `[${value}]`))).toMatchObject({
        error: 'invalid_request',
        parameter: 'p_value',
        type: declared,
      })
    }
  })
})
