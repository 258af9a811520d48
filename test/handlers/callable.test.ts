import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readSchemaWithin } from '../../lib/call/signatures/read-schema.ts'
import { readConfig } from '../../lib/config.ts'
import {
  connectTo,
  createAdminDatabase,
  dropAdminDatabase,
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

const platform = uniqueName('callable')
const database = `${platform}_main`
let url: string
let gateway: TestGateway
/** Others on the same databases, by their CALLABLE_SCHEMAS. */
const others = new Map<string, TestGateway>()

const define = (sql: string) => queryDatabase(database, sql)

beforeAll(async () => {
  url = await createAdminDatabase()
  gateway = await startTestGateway({ DATABASE_URL: url })
  const { body } = await gateway.register(platform, await pack(textFunction('ping', 'pong')))
  expect(body).toMatchObject({ status: 'ready' })
  await define(`
    create schema api;
    create schema hidden;
    create schema ext;
    create schema _db_gateway_own;
    create extension pgcrypto schema ext;
    create extension citext;
    create function where_am_i() returns text language sql as $$ select 'public' $$;
    create function api.where_am_i() returns text language sql as $$ select 'api' $$;
    create function hidden.where_am_i() returns text language sql as $$ select 'hidden' $$;
    create function api.in_api() returns text stable language sql as $$ select 'api' $$;
    create function _db_gateway_drop() returns text language sql as $$ select 'gone' $$;
    create function _db_gateway_own.helper() returns text language sql as $$ select 'helped' $$;
    create procedure _db_gateway_clear() language sql as $$ select 'gone' $$;
    create function on_change() returns trigger language plpgsql as $$ begin return new; end $$;
    create function on_ddl() returns event_trigger language plpgsql as $$ begin end $$;
    create function upper(p text) returns text language sql as $$ select 'the platform''s ' || p $$;
  `)
})
afterAll(async () => {
  for (const other of others.values()) await other.stop()
  await gateway.stop()
  await dropAdminDatabase(url)
})

async function gatewayFor(schemas: string): Promise<TestGateway> {
  let other = others.get(schemas)
  if (!other) {
    other = await startTestGateway({ DATABASE_URL: url, CALLABLE_SCHEMAS: schemas })
    others.set(schemas, other)
  }
  return other
}

/** What all ways to call a function say to it. */
async function answers(
  through: TestGateway,
  name: string,
  params: Json = [],
  query = '',
): Promise<Json> {
  const call = await through.call(platform, name, params)
  const stream = await through.post(
    '/call',
    { platform, function: name, params },
    { accept: 'application/x-ndjson' },
  )
  const calls = [{ function: name, params }]
  const batch = await through.post('/batch', { platform, calls })
  const together = await through.post('/batch', { platform, calls, transaction: true })
  const get = await through.get(`/call/${platform}/${name}${query}`)
  return [call.body, stream.body, batch.body.results?.[0], together.body, get.body]
}

describe('without CALLABLE_SCHEMAS', () => {
  test.each([
    ['of PostgreSQL', 'version', []],
    ['of PostgreSQL, that changes the session', 'set_config', ['a.b', 'c', false]],
    ['of PostgreSQL, that reads files', 'pg_read_file', ['postgresql.conf']],
    ['of the information schema', '_pg_truetypid', [1, 2]],
    ['of an extension in a schema of its own', 'gen_salt', ['bf']],
    ['of an extension in public', 'citext_eq', ['a', 'b']],
    ['in a schema that is not in the search path', 'in_api', []],
    ['of the gateway', '_db_gateway_drop', []],
    ['of the gateway, in its own schema', 'helper', []],
    ['of the gateway, that is a procedure', '_db_gateway_clear', []],
    ['of a trigger', 'on_change', []],
    ['of an event trigger', 'on_ddl', []],
    ['with internal arguments', 'array_typanalyze', ['x']],
  ])('there is no function %s', async (_, name, params) => {
    for (const answer of await answers(gateway, name, params)) {
      expect(answer).toMatchObject({ error: 'function_not_found' })
      expect(answer.message).toMatch(new RegExp(`^There is no function ${name}(?:; did|$)`))
      expect(answer).not.toHaveProperty('candidates')
    }
  })

  test.each([
    'versions',
    'gen_sal',
    'citext_e',
    '_db_gateway_dro',
    '_db_gateway_clea',
    'on_chang',
    'helpe',
    'in_ap',
  ])('%s is not taken for the beginning of what cannot be called', async (name) => {
    const { body } = await gateway.call(platform, name)
    expect(body).toEqual({ error: 'function_not_found', message: `There is no function ${name}` })
  })

  test("a platform's own function is called, whatever PostgreSQL has of that name", async () => {
    const { body } = await gateway.call(platform, 'upper', ['x'])
    expect(body.rows).toEqual([{ upper: "the platform's x" }])
    // Of its overloads, not those of PostgreSQL.
    const wrong = await gateway.call(platform, 'upper', [1, 2])
    expect(wrong.body).toMatchObject({ error: 'function_not_found', candidates: ['upper(p text)'] })
  })

  test('a function in a session of temporary functions is never called', async () => {
    await define(`
      create function make_shadow() returns text language plpgsql as $$
      begin
        create function pg_temp.where_am_i() returns text language sql as 'select ''temporary''';
        create function pg_temp.only_here() returns text language sql as 'select ''temporary''';
        perform set_config('search_path', 'pg_temp, hidden, public', false);
        return 'made';
      end $$
    `)
    // Invented names came just before: unknown ones have the database asked only now and then.
    await sleep(1100)
    const calls = [
      { function: 'make_shadow' },
      { function: 'where_am_i' },
      { function: 'only_here' },
    ]
    const { body } = await gateway.post('/batch', { platform, calls })
    expect(body.results.map((one: Json) => one.rows ?? one.error)).toEqual([
      [{ make_shadow: 'made' }],
      [{ where_am_i: 'public' }],
      'function_not_found',
    ])
    // In a transaction they are all in one session, and it is none of the three either.
    const together = { platform, calls: calls.slice(0, 2), transaction: true }
    const shared = await gateway.post('/batch', together)
    expect(shared.body.results?.[1].rows).toEqual([{ where_am_i: 'public' }])
  })

  test('where the search path of the database says so, it is another schema', async () => {
    const other = uniqueName('path')
    await gateway.register(other, await pack(textFunction('ping', 'pong')))
    const definition = (text: string) => `returns text language sql as $$ select '${text}' $$`
    await queryDatabase(
      `${other}_main`,
      `create schema api;
      create function who() ${definition('public')};
      create function api.who() ${definition('api')};
      alter database ${other}_main set search_path = pg_temp, pg_catalog, api`,
    )
    // Sessions that were there before have the old one.
    const fresh = await gatewayFor('')
    expect((await fresh.call(other, 'who')).body.rows).toEqual([{ who: 'api' }])
    expect((await fresh.call(other, 'version')).status).toBe(404)
  })
})

test('a schema of the gateway, or of a session, is never one where functions are found', async () => {
  const sql = connectTo(database)
  try {
    await sql.unsafe(`
      create function pg_temp.only_here() returns text language sql as $$ select 'temporary' $$;
      create function pg_temp.where_am_i() returns text language sql as $$ select 'temporary' $$;
      set search_path = pg_temp, _db_gateway_own, public`)
    const [row] = await sql`select pg_my_temp_schema()::regnamespace::text as schema`
    for (const schemas of [undefined, [row!.schema, '_db_gateway_own', 'public']]) {
      await sql.unsafe('begin')
      const { facts } = await readSchemaWithin(sql, { callableSchemas: schemas })
      await sql.unsafe('rollback')
      const signatures = facts!.functions.flatMap(({ signature }) => signature ?? [])
      const named = (name: string) => signatures.filter((one) => one.name === name)
      expect(named('only_here')).toEqual([])
      expect(named('helper')).toEqual([])
      expect(named('where_am_i')).toMatchObject([{ schema: 'public' }])
    }
  } finally {
    await sql.end()
  }
})

describe('CALLABLE_SCHEMAS', () => {
  test('is where functions are, in its order', async () => {
    const apiFirst = await gatewayFor('api, public')
    for (const answer of await answers(apiFirst, 'in_api')) {
      expect(JSON.stringify(answer)).toMatch(/in_api\\?":\\?"api/)
    }
    expect((await apiFirst.call(platform, 'where_am_i')).body.rows).toEqual([{ where_am_i: 'api' }])
    expect((await apiFirst.call(platform, 'ping')).body.rows).toEqual([{ ping: 'pong' }])
    const publicFirst = await gatewayFor('public,api')
    const { body } = await publicFirst.call(platform, 'where_am_i')
    expect(body.rows).toEqual([{ where_am_i: 'public' }])
  })

  test('leaves out all others, public too', async () => {
    const api = await gatewayFor('api')
    expect((await api.call(platform, 'ping')).body).toEqual({
      error: 'function_not_found',
      message: 'There is no function ping',
    })
    expect((await api.call(platform, 'where_am_i')).body.rows).toEqual([{ where_am_i: 'api' }])
  })

  test('may name that of an extension, and pg_catalog', async () => {
    const more = await gatewayFor('public,ext,pg_catalog')
    const salt = await more.call(platform, 'gen_salt', ['bf'])
    expect(salt.body.rows[0].gen_salt).toMatch(/^\$2a\$/)
    const year = await more.call(platform, 'make_date', [2026, 1, 2])
    expect(year.body.rows).toEqual([{ make_date: '2026-01-02' }])
    // The platform's comes first.
    expect((await more.call(platform, 'upper', ['x'])).body.rows[0].upper).toMatch(/^the platform/)
  })

  test.each([
    ['of an extension that is in public', 'citext_eq', ['a', 'b']],
    ['with internal arguments', 'array_typanalyze', ['x']],
    ['with internal results', 'internal_in', ['x']],
    ['of a trigger', 'suppress_redundant_updates_trigger', []],
    ['that handles a language', 'plpgsql_call_handler', []],
    ['that handles an index', 'bthandler', ['x']],
    ['of the gateway', '_db_gateway_drop', []],
  ])('never makes it a function %s', async (_, name, params) => {
    const more = await gatewayFor('public,ext,pg_catalog')
    expect((await more.call(platform, name, params)).status).toBe(404)
  })

  test('of a function of PostgreSQL that changes the session, nothing is left', async () => {
    const more = await gatewayFor('public,ext,pg_catalog')
    await more.call(platform, 'set_config', ['app.leak', 'x', false])
    const seen = await Promise.all(
      Array.from({ length: 20 }, () => more.call(platform, 'current_setting', ['app.leak', true])),
    )
    for (const { body } of seen) expect(['', null]).toContain(body.rows[0].current_setting)
  })

  test.each([
    'pg_temp',
    'pg_temp_3',
    'public,pg_toast_temp_3',
    '_db_gateway',
    'api,',
    'a b',
    '"api"',
    'x'.repeat(64),
  ])('is not %j', (value) => {
    expect(() => readConfig({ CALLABLE_SCHEMAS: value })).toThrow(/^CALLABLE_SCHEMAS: /)
  })
})
