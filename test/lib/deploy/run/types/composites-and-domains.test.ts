import { describe, expect, test } from 'vitest'

import { attributes, deploy, deployed, evaluate, failure, setUp, sql } from './setup.ts'

setUp()

describe('a composite type', () => {
  const address = (attributes: string) => ({
    'address.pssql': `create type address as (${attributes})`,
  })
  const old = address('street text, city varchar(40)')

  test('takes new attributes at the end, of types that are new too', async () => {
    await deploy(old)
    const files = {
      ...address(
        'street text, city varchar(40), "Land" country, codes integer[], sum numeric(8, 2)',
      ),
      'country.pssql': `create type country as enum ('de')`,
    }
    expect(await deployed(files)).toEqual({
      created: ['public.country'],
      changed: ['public.address'],
    })
    expect(await attributes('address')).toEqual([
      'street text',
      'city character varying(40)',
      'Land country',
      'codes integer[]',
      'sum numeric(8,2)',
    ])
  })

  test('that a table uses takes them too', async () => {
    await deploy(old)
    await sql.unsafe(
      `create table people (home address); insert into people values (row('a', 'b'))`,
    )
    await deploy(address('street text, city varchar(40), zip text'))
    expect(await evaluate('(select home from people)')).toBe('(a,b,)')
  })

  test.each([
    ['removed', 'street text', 'the file no longer has "city"'],
    ['renamed', 'street text, town varchar(40)', 'the file no longer has "city"'],
    [
      'retyped',
      'street text, city varchar(50)',
      'the attribute "city" is character varying(40) and would become character varying(50)',
    ],
    ['reordered', 'city varchar(40), street text', 'the file has "city" in the place of "street"'],
    [
      'added before others',
      'street text, zip text, city varchar(40)',
      'the file has "zip" in the place of "city"',
    ],
  ])('cannot have an attribute %s', async (_, attributesNow, cause) => {
    await deploy(old)
    const error = await failure(address(attributesNow))
    expect(error).toMatchObject({
      code: 'type_deploy_failed',
      file: 'types/address.pssql',
      line: 1,
    })
    expect(error.cause).toContain(`composite type public.address: ${cause}`)
    expect(await attributes('address')).toEqual(['street text', 'city character varying(40)'])
  })

  test('that typed tables use: PostgreSQL’s refusal is passed on', async () => {
    await deploy(old)
    await sql.unsafe('create table homes of address')
    expect(await failure(address('street text, city varchar(40), zip text'))).toMatchObject({
      sqlstate: '2BP01',
      file: 'types/address.pssql',
      line: 1,
      cause: expect.stringContaining('address'),
    })
  })
})

describe('a domain', () => {
  const email = (rest: string) => ({ 'email.pssql': `\ncreate domain email as text ${rest}` })

  test('gets another default, or none', async () => {
    await deploy(email(`default 'a'`))
    await sql.unsafe('create table people (id integer, email email)')
    const inserted = async () => {
      await sql.unsafe('truncate people; insert into people (id) values (1)')
      return evaluate('(select email from people)')
    }
    expect((await deploy(email(`default lower('B')`))).changed).toEqual(['public.email'])
    expect(await inserted()).toBe('b')
    expect((await deploy(email(''))).changed).toEqual(['public.email'])
    expect(await inserted()).toBeNull()
  })

  test('gets and loses NOT NULL', async () => {
    await deploy(email(''))
    expect((await deploy(email('not null'))).changed).toEqual(['public.email'])
    expect(await evaluate('null::email')).toBe('23502')
    expect((await deploy(email(''))).changed).toEqual(['public.email'])
    expect(await evaluate('null::email')).toBeNull()
  })

  test('gets, changes and loses checks', async () => {
    await deploy(email(`check (value <> '')`))
    await deploy(email(`check (value like '%@%') constraint short check (length(value) < 5)`))
    expect(await evaluate(`''::email`)).toBe('23514')
    expect(await evaluate(`'12345@'::email`)).toBe('23514')
    expect(await evaluate(`'1@'::email`)).toBe('1@')
    await deploy(email('constraint short check (length(value) < 9)'))
    expect(await evaluate(`'12345678'::email`)).toBe('12345678')
    expect(await evaluate(`'123456789'::email`)).toBe('23514')
  })

  test('gets a check that data violates: PostgreSQL’s refusal is passed on', async () => {
    await deploy(email(''))
    await sql.unsafe(`create table people (email email); insert into people values ('nobody')`)
    expect(await failure(email(`check (value like '%@%')`))).toMatchObject({
      sqlstate: '23514',
      cause: 'column "email" of table "people" contains values that violate the new constraint',
      file: 'types/email.pssql',
      line: 2,
      source: `create domain email as text check (value like '%@%')`,
    })
  })

  test('cannot be put over another type', async () => {
    await deploy(email(''))
    expect(await failure({ 'email.pssql': 'create domain email as varchar(9)' })).toMatchObject({
      cause:
        'domain public.email: its base type is text, and PostgreSQL cannot change it to character varying(9)',
      hint: expect.stringContaining('new type'),
    })
  })
})

describe('a type that exists as another kind', () => {
  test.each([
    [`create type status as enum ('a')`, 'an enum'],
    ['create table status ()', 'a table'],
    ['create view status as select 1', 'a view'],
    ['create type status as range (subtype = integer)', 'a range type'],
    ['create domain status as text', 'a domain'],
  ])('%s', async (statement, kind) => {
    await sql.unsafe(statement)
    expect(await failure({ 'status.pssql': '\n\ncreate type status as (a text)' })).toMatchObject({
      cause: `public.status is ${kind} in the database and a composite type in the file`,
      line: 3,
    })
  })
})

test('a range type is created, and not compared later', async () => {
  const file = (subtype: string) => ({
    'r.pssql': `create type hours as range (subtype = ${subtype}, multirange_type_name = public.many)`,
  })
  expect((await deploy(file('time'))).created).toEqual(['public.hours'])
  expect(await deploy(file('timetz'))).toEqual({
    created: [],
    changed: [],
    newValues: [],
    warnings: ['range type public.hours exists and cannot be changed; it was not compared'],
  })
})

describe('an error of PostgreSQL’s has its line and place', () => {
  test('in a type that is new', async () => {
    expect(
      await failure({ 'a.pssql': 'create type a as (\n  b text,\n  c textt\n)', 'b.pssql': '' }),
    ).toMatchObject({
      code: 'type_deploy_failed',
      status: 422,
      sqlstate: '42704',
      cause: 'type "textt" does not exist',
      file: 'types/a.pssql',
      line: 1,
      source: 'create type a as (',
    })
  })

  test('in a type that exists', async () => {
    await deploy({ 'a.pssql': 'create domain größe as integer' })
    expect(
      await failure({
        'a.pssql': `-- °C\ncreate domain public.größe as integer\n  check (value <> 'ö');`,
      }),
    ).toMatchObject({
      sqlstate: '22P02',
      cause: 'invalid input syntax for type integer: "ö"',
      line: 2,
      source: 'create domain public.größe as integer',
    })
  })

  test('in a text that does not parse', async () => {
    expect(
      await failure({
        'a.pssql': 'create type a as (b c)',
        'c.pssql': 'create type c as enum (\n  one\n)',
      }),
    ).toMatchObject({ sqlstate: '42601', file: 'types/c.pssql', line: 2, caret: '  ^' })
  })

  test('where two files declare the same', async () => {
    const files = { 'a.pssql': 'create type a as (b text)', 'b.pssql': 'create type a as (b text)' }
    const twice = { sqlstate: '42710', file: 'types/b.pssql', cause: 'type "a" already exists' }
    expect(await failure(files)).toMatchObject(twice)
    await sql.unsafe('rollback; begin; create type a as (b text)')
    expect(await failure(files)).toMatchObject(twice)
  })

  test('where a file ends the transaction', async () => {
    expect(await failure({ 'a.pssql': 'create type a as (b text);\ncommit;' })).toMatchObject({
      code: 'type_deploy_failed',
      file: 'types/a.pssql',
      line: 2,
    })
  })
})

test('leaves the session and the schemas as they were', async () => {
  const files = (values: string) => ({ 'a.pssql': `create type status as enum (${values})` })
  const settings = async () => [
    ...(await sql`select name, setting from pg_settings order by name`),
    ...(await sql`select nspname from pg_namespace order by 1`),
  ]
  await sql.unsafe('set search_path = "$user", public')
  await deploy(files(`'a'`))
  const before = await settings()
  expect((await deploy(files(`'a', 'b'`))).changed).toEqual(['public.status'])
  expect(await settings()).toEqual(before)
})
