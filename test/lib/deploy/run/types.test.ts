import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest'
import type { SchemaFile } from '../../../../lib/archive/archive.ts'
import { deployTypes, typeWarnings } from '../../../../lib/deploy/run/types.ts'
import { GatewayError } from '../../../../lib/errors.ts'
import { parseDatabaseUrl } from '../../../../lib/postgres/hosts/server.ts'
import { Connection, type Sql } from '../../../../lib/postgres/pools/connection.ts'
import { type Json, queryDatabase, uniqueName } from '../../../helpers/gateway.ts'
import type { Files } from '../../../helpers/platforms.ts'

let database: string
let connection: Connection
let sql: Sql

beforeEach(async () => {
  const server = parseDatabaseUrl(inject('databaseUrl'))
  database = uniqueName('types')
  await queryDatabase(server.database, `create database ${database}`)
  const options = { database, connectTimeoutMs: 10_000, statementTimeoutMs: 0 }
  connection = new Connection(server, options, () => {})
  sql = connection.sql
  await sql.unsafe('begin')
})
afterEach(async () => {
  await connection.close()
  const { database: home } = parseDatabaseUrl(inject('databaseUrl'))
  await queryDatabase(home, `drop database ${database} with (force)`)
})

const deploy = (files: Files, known: Files = {}) =>
  deployTypes(sql, database, schemaFiles(files), checksums(known))

const deployed = (files: Files, known: Files = {}) =>
  deploy(files, known).then(({ created, changed }) => ({ created, changed }))

/** What the client would be told. */
const failure = async (files: Files): Promise<Json> => {
  const error = await deploy(files).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(GatewayError)
  const { code, status, message, details } = error as GatewayError
  return { code, status, message, ...details }
}

/** Commits, so that what follows is another deploy. */
const nextDeploy = () => sql.unsafe('commit; begin')

const labels = async (type: string): Promise<string[]> => {
  const rows = await sql.unsafe<{ label: string }[]>(
    `select enumlabel as label from pg_enum where enumtypid = '${type}'::regtype order by enumsortorder`,
  )
  return rows.map((row) => row.label)
}

const attributes = async (type: string): Promise<string[]> => {
  const rows = await sql.unsafe<{ attribute: string }[]>(
    `select attname || ' ' || format_type(atttypid, atttypmod) as attribute
     from pg_attribute where attrelid = '${type}'::regclass order by attnum`,
  )
  return rows.map((row) => row.attribute)
}

/** The value of an expression, as text; or the SQLSTATE. */
const evaluate = async (expression: string): Promise<string | null> => {
  await sql.unsafe('savepoint evaluate')
  try {
    const [row] = await sql.unsafe<{ value: string | null }[]>(
      `select (${expression})::text as value`,
    )
    return row!.value
  } catch (error) {
    return (error as { code: string }).code
  } finally {
    await sql.unsafe('rollback to savepoint evaluate')
  }
}

function schemaFiles(files: Files): SchemaFile[] {
  return Object.entries(files).map(([name, text]) => ({
    path: `types/${name}`,
    name,
    text,
    checksum: checksum(text),
    rawChecksum: checksum(text),
  }))
}

function checksums(files: Files): Map<string, string> {
  return new Map(Object.entries(files).map(([name, text]) => [name, checksum(text)]))
}

function checksum(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

describe('types that do not exist', () => {
  test('are created', async () => {
    expect(
      await deployed({
        'email.pssql': `create domain email as text check (value like '%@%')`,
        'point.pssql': 'create type point_3d as (x real, y real, z real);',
        'status.pssql': `create type status as enum ('open', 'closed');`,
      }),
    ).toEqual({ created: ['public.email', 'public.point_3d', 'public.status'], changed: [] })
    expect(await labels('status')).toEqual(['open', 'closed'])
    expect(await attributes('point_3d')).toEqual(['x real', 'y real', 'z real'])
    expect(await evaluate(`'a@b'::email`)).toBe('a@b')
    expect(await evaluate(`'ab'::email`)).toBe('23514')
  })

  test('may stand in files in any order, several in one', async () => {
    expect(
      await deployed({
        'a.pssql': `create type visit as (status status, vitals vitals[], address places.address);
                    comment on type visit is 'of a patient';`,
        'b.pssql': `create type vitals as (pulse pulse);
                    create domain pulse as integer check (value > 0);`,
        'c.pssql': `create schema places;
                    create type places.address as (street text);
                    create type status as enum ('open');`,
      }),
    ).toEqual({
      created: ['public.visit', 'public.vitals', 'public.pulse', 'places.address', 'public.status'],
      changed: [],
    })
    expect(await evaluate(`obj_description('visit'::regtype)`)).toBe('of a patient')
  })

  test('may need each other’s files both ways', async () => {
    const { created } = await deployed({
      'a.pssql': 'create domain a as integer; create type c as (b b);',
      'b.pssql': 'create type b as (a a); create type d as (c c);',
    })
    expect(created).toEqual(['public.a', 'public.c', 'public.b', 'public.d'])
  })

  test('may have the name of a type of PostgreSQL’s, or need quotes', async () => {
    expect(
      await deployed({
        'a.pssql': 'create type "Größe 1" as ("Höhe" integer); create type point as (x integer);',
      }),
    ).toEqual({ created: ['public."Größe 1"', 'public.point'], changed: [] })
  })

  test('are created by files that hold other statements too', async () => {
    await deployed({
      'iban.pssql': `
        create or replace function is_iban(text) returns boolean immutable
        language sql as $$ select $1 ~ '^[A-Z]{2}[0-9]{2}' $$;
        create domain iban as text check (is_iban(value));`,
    })
    expect(await evaluate(`'DE12'::iban`)).toBe('DE12')
    expect(await evaluate(`'12'::iban`)).toBe('23514')
  })
})

describe('a file', () => {
  test('that is unchanged is passed over', async () => {
    const files = { 'status.pssql': `create type status as enum ('open')` }
    expect(await deployed(files, files)).toEqual({ created: [], changed: [] })
    expect(await evaluate(`to_regtype('status')`)).toBeNull()
  })

  test('whose types are as it says changes nothing', async () => {
    const files = {
      'all.pssql': `
        create type status as enum ('open', 'it''s \\ closed');
        create type line as (status status, amount numeric(10, 2), name text collate "C");
        create domain email as varchar(100) default 'a@b' not null
          constraint email_at check (value like '%@%') check (value <> '\\');`,
    }
    await deployed(files)
    const versions = () =>
      sql`select oid, xmin::text, cmin::text from pg_type order by oid desc limit 8`
    const before = await versions()
    expect(await deployed(files)).toEqual({ created: [], changed: [] })
    expect([...(await versions())]).toEqual([...before])
  })

  test('that drops its types first does not lose them', async () => {
    const files = (values: string) => ({
      'a.pssql': `drop type if exists status cascade;\ncreate type status as enum (${values});`,
    })
    await deploy(files(`'a'`))
    await sql.unsafe(`create table visits (status status); insert into visits values ('a')`)
    expect(await deploy(files(`'a', 'b'`))).toEqual({
      created: [],
      changed: ['public.status'],
      newValues: [],
      warnings: [
        'types/a.pssql, line 1: a DROP was passed over; types stay, since data may use them',
      ],
    })
    expect(await evaluate('(select status from visits)')).toBe('a')
  })

  test('that is gone leaves its types, and a warning', async () => {
    const files = { 'status.pssql': `create type status as enum ('open')` }
    await deploy(files)
    await deploy({}, files)
    expect(typeWarnings([], checksums(files))).toEqual([
      'types/status.pssql is gone; its types stay',
    ])
    expect(await labels('status')).toEqual(['open'])
  })
})

describe('an enum', () => {
  const statusFile = (...values: string[]) => ({
    'status.pssql': `-- of an appointment\n\ncreate type status as enum (${values.map((value) => `'${value}'`).join(', ')})`,
  })

  test.each([
    ['at the end', ['a', 'b', 'x']],
    ['in front', ['x', 'a', 'b']],
    ['in the middle', ['a', 'x', 'b']],
    ['in several places', ['x', 'y', 'a', 'z', 'u', 'b', 'v', "it''s \\ new"]],
  ])('takes new values %s', async (_, values) => {
    await deploy(statusFile('a', 'b'))
    await sql.unsafe(
      `create table visits (status status default 'b'); insert into visits default values`,
    )
    await nextDeploy()
    expect(await deployed(statusFile(...values))).toEqual({
      created: [],
      changed: ['public.status'],
    })
    await nextDeploy()
    expect(await labels('status')).toEqual(values.map((value) => value.replace("''", "'")))
    expect(
      await evaluate(`(select string_agg(status::text, ',') from visits where status = 'b')`),
    ).toBe('b')
  })

  test('that is empty takes values', async () => {
    await deploy({ 'status.pssql': 'create type status as enum ()' })
    await deploy(statusFile('a', 'b'))
    expect(await labels('status')).toEqual(['a', 'b'])
  })

  test('cannot lose a value', async () => {
    await deploy(statusFile('new', 'old'))
    expect(await failure(statusFile('new'))).toEqual({
      code: 'type_deploy_failed',
      status: 422,
      message: 'Type file status.pssql failed',
      database,
      file: 'types/status.pssql',
      line: 3,
      cause: 'enum public.status: PostgreSQL cannot remove the value "old"',
      hint: expect.stringContaining('migration'),
    })
  })

  test('cannot lose several values, nor have one renamed', async () => {
    await deploy(statusFile('a', 'b', 'c'))
    expect((await failure(statusFile('a', 'x'))).cause).toBe(
      'enum public.status: PostgreSQL cannot remove the values "b", "c"',
    )
  })

  test('cannot be put in another order', async () => {
    await deploy(statusFile('a', 'b', 'c'))
    expect((await failure(statusFile('a', 'c', 'x', 'b'))).cause).toBe(
      'enum public.status: PostgreSQL cannot change the order of its values, "a", "b", "c"',
    )
    expect(await labels('status')).toEqual(['a', 'b', 'c'])
  })

  test('of another schema, with its schema in the file', async () => {
    const file = (values: string) => ({
      'a.pssql': `create type "My app".status as enum (${values});`,
      'b.pssql': `create type public . status as enum (${values});`,
    })
    await sql.unsafe('create schema "My app"')
    expect((await deploy(file(`'a'`))).created).toEqual(['"My app".status', 'public.status'])
    expect((await deploy(file(`'a', 'b'`))).changed).toEqual(['"My app".status', 'public.status'])
    expect(await labels('"My app".status')).toEqual(['a', 'b'])
    expect(await labels('public.status')).toEqual(['a', 'b'])
  })

  test('is found where PostgreSQL would create it, not elsewhere in the search path', async () => {
    await sql.unsafe('create schema app')
    await deploy(statusFile('a'))
    await sql.unsafe('set local search_path = app, public')
    expect((await deploy(statusFile('b'))).created).toEqual(['app.status'])
    expect(await labels('public.status')).toEqual(['a'])
  })
})

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
    ['removed', 'street text', 'the file does not have "city" any more'],
    ['renamed', 'street text, town varchar(40)', 'the file does not have "city" any more'],
    [
      'retyped',
      'street text, city varchar(50)',
      'the attribute "city" is character varying(40) and would become character varying(50)',
    ],
    ['reordered', 'city varchar(40), street text', '"city" stands in the place of "street"'],
    [
      'added before others',
      'street text, zip text, city varchar(40)',
      '"zip" stands in the place of "city"',
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
        'domain public.email: it is over text, and PostgreSQL cannot put it over character varying(9)',
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
