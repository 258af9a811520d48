import { describe, expect, test } from 'vitest'
import { queryDatabase, uniqueName } from '../../helpers/gateway.ts'
import { pack } from '../../helpers/platforms.ts'

// What PostgreSQL says of a value (to_json, ::text) is asked on a connection of its own. Answers
// are compared as text, since JSON.parse would lose digits.

import { define, gateway, platform, rowsText, say, setUp, sql } from './setup.ts'

setUp()

describe('results that no parameter can be', () => {
  test.each([
    ['an array that does not start at 1', `select '[0:1]={1,2}'::int[]`, 'int[]'],
    ['a negative zero', `select '-0'::float8`, 'float8'],
    [
      'the largest numeric that there is room for',
      `select repeat('9', 100000)::numeric`,
      'numeric',
    ],
    ['json with white space and duplicate keys', `select '{"a": 1,\n "a":  2}'::json`, 'json'],
    ['json escapes', `select '"\\u0000\\ud83d\\ude00\\u00e9/\\/"'::json`, 'json'],
    ['a table row with a dropped column', `select t from dropped t`, 'dropped'],
    ['nested arrays of composites', `select array[array[(1, 'x')::pair]]`, 'pair[]'],
  ])('%s', async (_, query, type) => {
    await define(`
      create table if not exists dropped (a int, b int, c int);
      alter table dropped drop column if exists b;
      insert into dropped values (1, 3);
      drop function if exists result;
      create function result() returns ${type} language sql as $$ ${query} limit 1 $$
    `)
    const said = await say(`select to_json(r.*) from (select * from result()) r`)
    expect(await rowsText('result', '[]')).toBe(`[${said}]`)
  })
})

test('two columns of one name are both there, with their values', async () => {
  await define(`
    create function same_name(out column2 numeric, out text) returns setof record language sql
    as $$ values (1.50, 'x'), (2, null) $$
  `)
  const [text] = await sql.unsafe(
    'select json_agg(r.*)::text as said from (select * from same_name()) r',
  )
  expect(text!.said.replace(/\s/g, '')).toBe(
    '[{"column2":1.50,"column2":"x"},{"column2":2,"column2":null}]',
  )
  const answer = await fetch(`${gateway.url}/call`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ platform, function: 'same_name' }),
  })
  expect(await answer.text()).toContain(`{"rows":${text!.said},"row_count":2,`)
})

describe('xml', () => {
  test('comes and goes, where the server was built with it', async () => {
    const hasXml = await sql.unsafe(`select '<a/>'::xml`).then(
      () => true,
      () => false,
    )
    if (!hasXml) return
    await define(`
      create function id_xml(p_value xml) returns xml language sql as $$ select p_value $$
    `)
    const said = await say(`to_json('<a b="1">é &amp; 2</a>'::xml)`)
    expect(await rowsText('id_xml', '["<a b=\\"1\\">é &amp; 2</a>"]')).toBe(`[{"id_xml":${said}}]`)
  })
})

describe('money where a comma is the decimal point', () => {
  test('is what its JSON number says, and goes out as that country writes it', async ({ skip }) => {
    const country = uniqueName('country')
    const body = 'language sql as $$ select p_value::numeric, p_value $$'
    const files = {
      'types/price.pssql': 'create domain price as money check (value >= 0::money);',
      'functions/price.pssql': [
        `create function price(p_value money, out number numeric, out value money) ${body};`,
        `create function checked(p_value price, out number numeric, out value money) ${body};`,
        `create function prices(p_value money[]) returns numeric[] language sql
         as $$ select p_value::numeric[] $$;`,
        `create procedure charge(p_value money, out number numeric) language sql
         as $$ select p_value::numeric $$;`,
      ].join('\n'),
    }
    expect(await gateway.register(country, await pack(files))).toMatchObject({ status: 200 })
    const isSet = await queryDatabase(
      `${country}_main`,
      `alter database ${country}_main set lc_monetary = 'de_DE.UTF-8'`,
    ).then(
      () => true,
      () => false,
    )
    if (!isSet) skip('this server does not know the country')
    const call = async (name: string, ...params: unknown[]) =>
      (await gateway.call(country, name, params)).body
    for (const value of [1234.5, '1.234,50', '1.234,50 €']) {
      const row = { number: 1234.5, value: '1.234,50 €' }
      expect(await call('price', value)).toMatchObject({ rows: [row] })
      expect(await call('checked', value)).toMatchObject({ rows: [row] })
    }
    expect(await call('prices', [[1.5], [-2]])).toMatchObject({ rows: [{ prices: [[1.5], [-2]] }] })
    expect(await call('prices', [1.5, null])).toMatchObject({ rows: [{ prices: [1.5, null] }] })
    expect(await call('prices', ['1,50', null])).toMatchObject({ rows: [{ prices: [1.5, null] }] })
    expect(await call('charge', 1.5)).toMatchObject({ rows: [{ number: 1.5 }] })
    for (const name of ['price', 'checked', 'charge']) {
      expect(await call(name, 1e30)).toMatchObject({
        error: 'invalid_request',
        parameter: 'p_value',
      })
    }
    expect(await call('checked', -1)).toMatchObject({ error: 'invalid_request', type: 'price' })
  })
})

describe('what a function sets for its session', () => {
  test('is UTC and ISO when it begins', async () => {
    await define(`
      create function session() returns table (zone text, date_style text, bytes text)
      language sql as $$
        select current_setting('TimeZone'), current_setting('DateStyle'),
          current_setting('bytea_output')
      $$
    `)
    expect(await rowsText('session', '[]')).toBe(
      '[{"zone":"UTC","date_style":"ISO, MDY","bytes":"hex"}]',
    )
  })
})
