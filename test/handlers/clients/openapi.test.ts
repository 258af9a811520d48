import { validate } from '@hyperjump/json-schema/openapi-3-1'
import { beforeAll, describe, expect, test } from 'vitest'
import { memberSchema } from '../../../lib/openapi/members.ts'
import { startOneGateway } from '../../helpers/for-file.ts'
import { type Json, uniqueName } from '../../helpers/gateway.ts'
import { pack, textFunction } from '../../helpers/platforms.ts'

const SCHEMA = 'https://spec.openapis.org/oas/3.1/schema-base'
const platform = uniqueName('api')

const FILES = {
  'migrations/001.pssql': `
    create schema billing;
    create type mood as enum ('good', 'bad');
    comment on type mood is 'How it is';
    create type point3 as (x int, "the y" numeric, ids bigint[]);
    create domain billing.code as text not null check (value <> '');
    create table things (thing_id int primary key, mood mood, at timestamptz not null default now());
    comment on column things.mood is 'Of today';
    create table billing.mood (code billing.code);`,
  'functions/all.pssql': `
    create or replace function add_thing(p_id int, p_mood mood default 'good', p_code billing.code default 'x')
      returns int language sql as $$ insert into things values (p_id, p_mood) returning thing_id $$;
    comment on function add_thing is 'Adds a thing.
It must be new.
@param p_id Its number
@error 23505 The thing exists
@error PT422 The mood is not known
@not_null add_thing';
    create or replace function list_things(p_limit int default 10) returns setof things stable
      language sql as $$ select * from things limit p_limit $$;
    create or replace function one_thing(int) returns things stable
      language sql as $$ select * from things where thing_id = $1 $$;
    create or replace function over(a int) returns int immutable language sql as $$ select a $$;
    create or replace function over(a text, b billing.mood default null) returns text immutable
      language sql as $$ select a $$;
    create or replace function out_one(out o_point point3) immutable
      language sql as $$ select row(1, 2.5, array[3, null])::point3 $$;
    create or replace function two(a int, out b text, inout c jsonb) immutable
      language sql as $$ select 'b', c $$;
    create or replace function many(variadic p_all int[]) returns bigint immutable
      language sql as $$ select cardinality(p_all) $$;
    create or replace function nothing() returns void language sql as $$ select $$;
    create or replace function same(a anyelement) returns anyelement immutable language sql as $$ select a $$;
    create or replace procedure done(inout p_n int, out o_text text) language plpgsql
      as $$ begin p_n := p_n + 1; o_text := 't'; end $$;
    create or replace function fires() returns trigger language plpgsql as $$ begin return new; end $$;
    create or replace function "Odd"() returns int language sql as $$ select 1 $$;`,
}

const gateway = await startOneGateway()
let document: Json
beforeAll(async () => {
  const { status, body } = await gateway.register(platform, await pack(FILES))
  expect(status, JSON.stringify(body)).toBe(200)
  document = (await gateway.get(`/openapi.json?platform=${platform}`)).body
})

/** Whether a value fits a schema of a document. */
async function fits(from: Json, schema: Json, value: unknown): Promise<boolean> {
  // One schema beside those of the document, to which it refers.
  const { components } = from
  const schemas = { ...components?.schemas, 'the.asked': schema }
  const whole = { ...from, paths: {}, components: { ...components, schemas } }
  const id = `https://example.org/${uniqueName('d')}`
  const { registerSchema } = await import('@hyperjump/json-schema/openapi-3-1')
  registerSchema(whole, id, 'https://spec.openapis.org/oas/3.1/schema-base')
  return (await validate(`${id}#/components/schemas/the.asked`, value as never)).valid
}

const operation = (id: string) => document.paths[`/call#${id}`].post
const requestOf = (id: string) => operation(id).requestBody.content['application/json'].schema
const answerOf = (id: string) => operation(id).responses[200].content['application/json'].schema

describe('the document of the gateway', () => {
  let own: Json
  beforeAll(async () => {
    own = (await gateway.get('/openapi.json')).body
  })
  const operations = () =>
    Object.entries<Json>(own.paths).flatMap(([path, methods]) =>
      Object.entries<Json>(methods).map(([method, one]) => ({ ...one, name: `${method} ${path}` })),
    )

  test('is OpenAPI 3.1, and has each endpoint', async () => {
    expect((await validate(SCHEMA, own)).valid).toBe(true)
    const routes = gateway.gateway.routes.filter(({ method }) => method !== 'QUERY')
    expect(operations()).toHaveLength(routes.length)
    expect(operations().filter(({ summary }) => summary === '')).toEqual([])
    const ids = operations().map(({ operationId }) => operationId)
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('names members that the table of members has, and an example that fits', async () => {
    const unknown: string[] = []
    for (const { path, docs } of gateway.gateway.routes) {
      const { query = [], body = [], form = [] } = docs ?? {}
      const names = [...query, ...body, ...form]
      for (const [place, list] of Object.entries({ query, body, form } as const)) {
        const missing = list.filter((name) => !memberSchema(place as 'query', name))
        unknown.push(...missing.map((name) => `${path}: ${name}`))
      }
      const given = [...(docs?.required ?? []), ...Object.keys(docs?.request ?? {})]
      for (const name of given) if (!names.includes(name)) unknown.push(`${path}: ${name}`)
    }
    expect(unknown).toEqual([])
    for (const { name, requestBody } of operations()) {
      const { schema, example } = requestBody?.content['application/json'] ?? {}
      if (schema) expect(await fits(own, schema, example), name).toBe(true)
    }
  })

  test('has an example of each answer', () => {
    const bare = operations().filter(({ responses }) => {
      const [success] = Object.entries<Json>(responses).find(([status]) => status < '3')!
      const content = Object.values<Json>(responses[success].content ?? {})
      return !content.some(({ example }) => example !== undefined)
    })
    expect(bare.map(({ name }) => name)).toEqual([])
  })

  test('describes what the gateway answers', async () => {
    const answers = {
      '/health': '/health',
      '/admin/databases': `/admin/databases?platform=${platform}`,
      '/admin/platforms': '/admin/platforms',
      '/admin/tenants': `/admin/tenants?platform=${platform}`,
      '/admin/archives': `/admin/archives?platform=${platform}`,
      '/admin/audit': '/admin/audit',
      '/admin/deployments': `/admin/deployments?platform=${platform}`,
      '/admin/pools': '/admin/pools',
      '/admin/usage': `/admin/usage?platform=${platform}`,
      '/platform/{platform}/databases': `/platform/${platform}/databases`,
    }
    for (const [path, url] of Object.entries(answers)) {
      const { body, status } = await gateway.get(url)
      expect(status, path).toBe(200)
      const { schema, example } = own.paths[path].get.responses[200].content['application/json']
      expect(await fits(own, schema, body), path).toBe(true)
      expect(Object.keys(body), path).toEqual(expect.arrayContaining(Object.keys(example)))
    }
  })

  test('says which errors an endpoint gives, and who may ask', () => {
    const { responses, security } = own.paths['/admin/drop-tenant'].post
    expect(responses[409].description).toContain('`tenant_busy`')
    expect(security).toContainEqual({ adminToken: [] })
    expect(own.paths['/call'].post.security).toBeUndefined()
  })
})

describe('the document of a platform', () => {
  test('is OpenAPI 3.1, and has the functions that can be called', async () => {
    expect((await validate(SCHEMA, document)).valid).toBe(true)
    expect(Object.keys(document.paths).map((path) => path.replace('/call#', ''))).toEqual([
      'add_thing',
      'done',
      'list_things',
      'many',
      'nothing',
      'one_thing',
      'out_one',
      'over(integer)',
      'over(text,billing.mood)',
      'same',
      'two',
    ])
  })

  test('says what comments say', () => {
    expect(operation('add_thing')).toMatchObject({
      summary: 'Adds a thing.',
      description: 'It must be new.',
      'x-volatility': 'volatile',
    })
    const { responses } = operation('add_thing')
    expect(responses[409].description).toBe('SQLSTATE 23505: The thing exists')
    expect(responses[422]['x-sqlstates']).toEqual([
      { sqlstate: 'PT422', about: 'The mood is not known' },
    ])
    const [named] = requestOf('add_thing').properties.params.anyOf
    expect(named.properties.p_id.description).toBe('Its number')
    expect(named.properties.p_mood['x-default']).toBe("'good'::public.mood")
    expect(document.components.schemas.mood).toMatchObject({ description: 'How it is' })
    expect(document.components.schemas.things.properties.mood.description).toBe('Of today')
  })

  const base = { platform, tenant_id: 'north' }
  test.each<[string, unknown, boolean]>([
    ['add_thing', { p_id: 1 }, true],
    ['add_thing', { p_id: 1, p_mood: 'good', p_code: 'c' }, true],
    ['add_thing', [1, null], true],
    ['add_thing', { p_id: 1, p_mood: 'ugly' }, false],
    ['add_thing', { p_id: 1, p_code: null }, false],
    ['add_thing', { p_id: '1' }, false],
    ['add_thing', { p_id: 1, p_other: 1 }, false],
    ['add_thing', [], false],
    ['add_thing', undefined, false],
    ['one_thing', [1], true],
    ['one_thing', { a: 1 }, false],
    ['many', [1, 2, 3], true],
    ['many', { p_all: [1] }, true],
    ['two', { a: 1, c: { d: null } }, true],
    ['two', { a: 1, b: 'x', c: 1 }, false],
    ['over(text,billing.mood)', { a: 'x', b: { code: 'c' } }, true],
    ['nothing', undefined, true],
  ])('%s with %j: %s', async (id, params, isRight) => {
    const name = id.replace(/\(.*/, '')
    const request = { ...base, function: name, ...(params !== undefined && { params }) }
    expect(await fits(document, requestOf(id), request)).toBe(isRight)
    // The gateway does not look at a value before PostgreSQL does, and takes more than the document says.
    if (!isRight) return
    const { status, body } = await gateway.post('/call', { ...request, tenant_id: null })
    expect([200, 409], JSON.stringify(body)).toContain(status)
    if (status === 200) expect(await fits(document, answerOf(id), body)).toBe(true)
  })

  test.each<[string, unknown]>([
    ['list_things', []],
    ['out_one', []],
    ['done', [1]],
    ['same', [1]],
    ['over(integer)', [1]],
  ])('the rows of %s have the columns that it says', async (id, params) => {
    const answer = await gateway.call(platform, id.replace(/\(.*/, ''), params)
    expect(answer.status, JSON.stringify(answer.body)).toBe(200)
    expect(await fits(document, answerOf(id), answer.body)).toBe(true)
    const row = answerOf(id).properties.rows.items
    if (row.properties) {
      expect(Object.keys(answer.body.rows[0])).toEqual(Object.keys(row.properties))
      expect(await fits(document, answerOf(id), { ...answer.body, rows: [{}] })).toBe(false)
    }
  })

  test('is the same for all, until something changes: a comment, a column, a function', async () => {
    const path = `/openapi.json?platform=${platform}`
    const first = await gateway.get(path)
    const etag = first.headers.get('etag')!
    const again = () => gateway.get(path, { 'if-none-match': etag })
    expect((await again()).status).toBe(304)
    const database = `${platform}_main`
    for (const change of [
      "comment on function list_things is 'All'",
      'alter table things add column note text',
      "alter type mood add value 'fair'",
      'create function made() returns int language sql as $$ select 1 $$',
    ]) {
      const before = (await gateway.get(path)).headers.get('etag')
      await gateway.query(database, change)
      expect((await gateway.get(path)).headers.get('etag'), change).not.toBe(before)
    }
  })

  test('is of the database that the query names, as /call finds it', async () => {
    const asked = (query: string) => gateway.get(`/openapi.json?${query}`)
    const north = {
      ...textFunction('nothing', ''),
      'migrations/001.pssql': 'create schema billing; create schema billing$2',
      'functions/bill.pssql':
        'create or replace function billing.bill() returns int language sql as $$ select 1 $$',
      'functions/bill_2.pssql':
        'create or replace function billing$2.bill_2() returns int language sql as $$ select 2 $$',
    }
    await gateway.register(platform, await pack(north), 'north')
    const { body } = await asked(`platform=${platform}&tenant_id=north`)
    expect(
      body.paths['/call#nothing'].post.requestBody.content['application/json'].schema,
    ).toMatchObject({ required: ['platform', 'tenant_id', 'function'] })
    expect((await asked(`platform=${platform}&tenant_id=south`)).status).toBe(404)
    // The schemas that a tenant's calls reach are limits of its own.
    for (const [schema, name] of [
      ['billing', 'bill'],
      ['billing$2', 'bill_2'],
    ]) {
      const limits = { callable_schemas: [schema] }
      await gateway.post('/admin/tenants', { platform, tenant_id: 'north', limits })
      const { body: limited } = await asked(`platform=${platform}&tenant_id=north`)
      expect(Object.keys(limited.paths)).toEqual([`/call#${name}`])
    }
    expect((await asked(`platform=${platform}&shema=x`)).body.message).toContain('"shema"')
    expect((await asked('schema=x')).body.message).toContain('platform')
  })
})
