import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { queryDatabase, startTestGateway, type TestGateway } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

const platform = 'getting'
const database = `${platform}_main`
let gateway: TestGateway

beforeAll(async () => {
  gateway = await startTestGateway()
  const archive = await pack(textFunction('ping', 'pong'))
  await gateway.register(platform, archive)
  await gateway.register(platform, archive, 'north')
  await define(`
    create type address as (street text, city text);
    create table notes (id int primary key, text text);
    insert into notes values (1, 'first'), (2, 'second');
    create function note(p_id int) returns table (id int, text text) language sql stable
      as $$ select id, text from notes where id = p_id $$;
    create function add_up(p_numbers int[]) returns bigint language sql immutable
      as $$ select sum(n) from unnest(p_numbers) n $$;
    create function city_of(p_address address) returns text language sql immutable
      as $$ select p_address.city $$;
    create function same(p_text text) returns text language sql immutable as $$ select p_text $$;
    create function at(p_time timestamptz default '2026-01-01') returns timestamptz
      language sql immutable as $$ select p_time $$;
    create function write_note(p_id int) returns void language sql
      as $$ insert into notes values (p_id, 'new') $$;
    create function write_secretly(p_id int) returns void language plpgsql stable
      as $$ begin perform write_note(p_id); end $$;
    create function many(p_count int) returns table (n int) language sql stable
      as $$ select generate_series(1, p_count) $$;
    create function cities_of(p_addresses address[]) returns text[] language sql immutable
      as $$ select array_agg(coalesce(a.city, '-')) from unnest(p_addresses) a $$;
    create function texts_of(p_texts text[]) returns text language sql immutable
      as $$ select array_to_string(p_texts, '|', 'null') $$;
    create function limited(p_id int, p_limit int default 10) returns int language sql immutable
      as $$ select p_id + p_limit $$;
    create function either(p_a int) returns int language sql immutable as $$ select p_a $$;
    create function either(p_b text) returns text language sql immutable as $$ select p_b $$;
    create function of_tenant(tenant_id text) returns text language sql immutable
      as $$ select tenant_id $$;
    create procedure proceed() language sql as $$ select 1 $$;
  `)
  await queryDatabase(
    `${platform}_north`,
    `create function which() returns text language sql stable as $$ select 'north' $$`,
  )
})
afterAll(() => gateway.stop())

const define = (sql: string) => queryDatabase(database, sql)
const get = (path: string, headers = {}) => gateway.get(`/call/${platform}/${path}`, headers)

describe('GET /call/{platform}/{function}', () => {
  test('runs a function that is STABLE or IMMUTABLE, with the query as named arguments', async () => {
    const { status, body } = await get('note?p_id=2')
    expect(status).toBe(200)
    expect(body).toMatchObject({ rows: [{ id: 2, text: 'second' }], row_count: 1 })
  })

  test('in a tenant’s database with its id before the function', async () => {
    expect((await get('north/which')).body.rows).toEqual([{ which: 'north' }])
    expect((await get('south/which')).body.error).toBe('database_not_found')
  })

  test('reads each text as the declared type', async () => {
    expect((await get('at?p_time=2026-05-06T07:08:09Z')).body.rows).toEqual([
      { at: '2026-05-06T07:08:09+00:00' },
    ])
    expect((await get('at')).body.rows).toEqual([{ at: '2026-01-01T00:00:00+00:00' }])
    expect((await get('same?p_text=null')).body.rows).toEqual([{ same: 'null' }])
    expect((await get('same?p_text=')).body.rows).toEqual([{ same: '' }])
    expect((await get('same?p_text=a+b%20c%2Bd%C3%BC')).body.rows).toEqual([{ same: 'a b c+dü' }])
  })

  test.each([
    'add_up?p_numbers=1&p_numbers=2&p_numbers=3',
    'add_up?p_numbers=[1,2,3]',
    'add_up?p_numbers={1,2,3}',
  ])('takes an array: %s', async (path) => {
    expect((await get(path)).body.rows).toEqual([{ add_up: 6 }])
  })

  test('takes a composite as JSON', async () => {
    const address = encodeURIComponent('{"street":"Main","city":"Ulm"}')
    expect((await get(`city_of?p_address=${address}`)).body.rows).toEqual([{ city_of: 'Ulm' }])
  })

  test.each([
    ['p_addresses={"city":"Ulm"}', ['Ulm']],
    ['p_addresses={"city":"Ulm"}&p_addresses={ "city":"Bonn"}', ['Ulm', 'Bonn']],
    [
      'p_addresses=(Main,Ulm)&p_addresses={"city":"Bonn"}&p_addresses&p_addresses={}',
      ['Ulm', 'Bonn', '-', '-'],
    ],
    ['p_addresses=[{"city":"Ulm"},{"city":"Bonn"}]', ['Ulm', 'Bonn']],
    ['p_addresses={"(Main,Ulm)","(Side,Bonn)"}', ['Ulm', 'Bonn']],
    ['p_addresses=(Main,Ulm)', ['Ulm']],
    ['p_addresses={}', null],
  ])('takes an array of composites: %s', async (query, cities) => {
    const path = `cities_of?${query.replace(/=([^&]*)/g, (_, text) => `=${encodeURIComponent(text)}`)}`
    expect((await get(path)).body.rows).toEqual([{ cities_of: cities }])
  })

  test('tells what is wrong with an element, and leaves texts as they are', async () => {
    const wrong = await get(
      `cities_of?p_addresses=${encodeURIComponent('{"town":"Ulm"}')}&p_addresses={}`,
    )
    expect(wrong).toMatchObject({ status: 400, body: { parameter: 'p_addresses' } })
    expect(wrong.body.message).toContain('no attribute "town"')
    const json = encodeURIComponent('{"a":1}')
    expect((await get(`texts_of?p_texts=${json}&p_texts=b`)).body.rows).toEqual([
      { texts_of: '{"a":1}|b' },
    ])
  })

  test('refuses what the function does not take, and names it', async () => {
    const { status, body } = await get('limited?p_id=1&p_limits=2')
    expect(status).toBe(404)
    expect(body).toMatchObject({ error: 'function_not_found', suggestions: ['p_limit'] })
    expect(body.message).toContain('takes parameters named p_id, p_limits')
    for (const query of ['q=1', 'p_text[]=1', 'P_TEXT=1', 'p_text=1&timeout_ms=5', '=1']) {
      const answer = await get(`same?${query}`)
      expect(answer.status).toBe(404)
      const names = query.replaceAll(/=[^&]*/g, '').replace('&', ', ') || '""'
      expect(answer.body.message).toContain(`takes parameters named ${names}`)
    }
  })

  test('a tenant in the query does not mean the main database', async () => {
    const { status, body } = await get('same?tenant_id=north')
    expect([status, body.error]).toEqual([404, 'function_not_found'])
    expect(body.hint).toContain('/call/{platform}/{tenant}/{function}')
    expect((await get('either?p_a=1&tenant_id=north')).body.hint).toBe(body.hint)
    expect((await get('of_tenant?tenant_id=north')).body.rows).toEqual([{ of_tenant: 'north' }])
  })

  test('refuses a function that may write: 405, which says what to do', async () => {
    const { status, headers, body } = await get('write_note?p_id=7')
    expect({ status, error: body.error }).toEqual({ status: 405, error: 'method_not_allowed' })
    expect(headers.get('allow')).toBeTruthy()
    expect(body.message).toContain('VOLATILE')
    expect((await get('proceed')).body.message).toContain('procedure')
    expect(await define('select * from notes where id = 7')).toEqual([])
  })

  test('lets not even a function write that says it does not', async () => {
    const { status, body } = await get('write_secretly?p_id=8')
    expect(status).toBeGreaterThanOrEqual(400)
    expect(body.sqlstate).toBe('25006')
    expect(await define('select * from notes where id = 8')).toEqual([])
  })

  test.each([
    ['note?p_id=x', 400, 'invalid_request'],
    ['note?p_ib=1', 404, 'function_not_found'],
    ['note?p_id=1&p_id=2', 400, 'invalid_request'],
    ['same?p_text=%FF', 400, 'invalid_request'],
    ['Note', 400, 'invalid_request'],
    ['notes', 404, 'function_not_found'],
  ])('%s: %i %s', async (path, status, error) => {
    const answer = await get(path)
    expect({ status: answer.status, error: answer.body.error }).toEqual({ status, error })
  })

  test('HEAD answers the same without a body', async () => {
    const response = await fetch(`${gateway.url}/call/${platform}/note?p_id=1`, { method: 'HEAD' })
    expect(response.status).toBe(200)
    expect(response.headers.get('etag')).toBeTruthy()
    expect(await response.text()).toBe('')
  })
})

describe('an ETag', () => {
  test('is answered, and a client that has it gets 304 until the rows are others', async () => {
    await define(`insert into notes values (3, 'third')`)
    const first = await get('note?p_id=3')
    const etag = first.headers.get('etag') as string
    expect(etag).toMatch(/^W\/"[\w-]+"$/)
    expect(first.headers.get('cache-control')).toBe('private, no-cache')

    const same = await get('note?p_id=3', { 'if-none-match': etag })
    expect({ status: same.status, body: same.body }).toEqual({ status: 304, body: '' })
    expect(same.headers.get('etag')).toBe(etag)
    expect((await get('note?p_id=3', { 'if-none-match': `"other", ${etag}` })).status).toBe(304)
    expect((await get('note?p_id=3', { 'if-none-match': '*' })).status).toBe(304)
    expect((await get('note?p_id=3', { 'if-none-match': '"other"' })).status).toBe(200)

    await define(`update notes set text = 'changed' where id = 3`)
    const changed = await get('note?p_id=3', { 'if-none-match': etag })
    expect(changed.status).toBe(200)
    expect(changed.headers.get('etag')).not.toBe(etag)
  })

  test('is the same for a compressed answer', async () => {
    const plain = await get('many?p_count=5000', { 'accept-encoding': 'identity' })
    const compressed = await get('many?p_count=5000', { 'accept-encoding': 'gzip' })
    expect(compressed.headers.get('content-encoding')).toBe('gzip')
    expect(compressed.headers.get('vary')).toContain('accept-encoding')
    expect(compressed.body.rows).toEqual(plain.body.rows)
    expect(compressed.headers.get('etag')).toBe(plain.headers.get('etag'))
  })
})

test('GET /call without a function is no route of GET', async () => {
  expect((await gateway.get('/call')).status).toBe(405)
  expect((await gateway.get(`/call/${platform}`)).status).toBe(404)
})
