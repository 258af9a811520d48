import { expect, test } from 'vitest'
import type { SchemaFacts } from '../../../../lib/call/signatures/facts.ts'
import { readSchema } from '../../../../lib/call/signatures/read-schema.ts'
import { databaseWith } from '../../../helpers/for-file.ts'
import { connectTo, queryDatabase, uniqueName } from '../../../helpers/gateway.ts'

const OBJECTS = `
  create extension hstore; create extension citext;
  create type mood as enum ('good', 'bad');
  create type pair as (a int, b text);
  create domain word as text check (value <> '');
  create domain words as text[];
  create table item (id serial primary key, name word, p pair, at timestamptz default now());
  alter table item drop column at;
  create function scalar(a int, b text default 'x', c word default null) returns int language sql as 'select 1';
  create function over(a int) returns int language sql as 'select 1';
  create function over(a text) returns int language sql stable as 'select 1';
  create function types(a json, b jsonb[], c money, d money[], e hstore, f hstore[], g words[], h pair,
    i item, j int[], k mood, l bpchar, m timestamptz, n word[], o pair[], p citext, q bytea[])
    returns setof item language sql as 'select * from item';
  create function no_names(int, text) returns void language sql as '';
  create function outs(a int, out b int, inout c text, out d pair) returns record
    language plpgsql as 'begin end';
  create function tabled(a int) returns table (x int, y text) language sql immutable as $$ select 1, '' $$;
  create function many(a int, variadic b text[]) returns int language sql as 'select 1';
  create function any_of(a anyelement, b anyarray) returns anyelement language sql as 'select a';
  create function open_record() returns setof record language sql as 'select 1, 2';
  create function set_one() returns int language sql set work_mem = '1MB' set search_path = public as 'select 1';
  create procedure proc(a int, out b int, inout c word, out d anyelement, in e anyelement)
    language plpgsql as 'begin end';
  create procedure plain() language sql as '';
  create function trig() returns trigger language plpgsql as 'begin return new; end';
  create function internals(internal) returns int language internal as 'int4in';
  create schema other;
  create function other.elsewhere() returns int language sql as 'select 1';
  create function "Odd Name"(a int) returns int language sql as 'select 1';
  create function begins() returns int language sql begin atomic select 1; end;
`
  .replace(/create function internals.*\n/, '')
  .replace(/language sql begin/, 'begin')

const { database, sql } = await databaseWith(OBJECTS)

const signaturesIn = ({ functions }: SchemaFacts) =>
  functions.flatMap(({ signature }) => signature ?? [])

test('of arguments it is known which attributes and which preference their types have', async () => {
  const { facts } = await readSchema(sql)
  const [types] = signaturesIn(facts!).filter(({ name }) => name === 'types')
  const byName = new Map(types!.arguments.map((one) => [one.name, one]))
  const { types: shapes } = types!
  const pair = { kind: 'composite', attributes: { a: 'integer', b: 'text' } }
  expect(shapes['public.pair']).toEqual(pair)
  expect(shapes[byName.get('o')!.type]).toEqual({ kind: 'array', of: 'public.pair' })
  expect(Object.keys((shapes['public.item'] as typeof pair).attributes)).toEqual([
    'id',
    'name',
    'p',
  ])
  expect(shapes['public.word']).toEqual({ kind: 'domain', of: 'text' })
  expect(shapes['bytea[]']).toEqual({ kind: 'array', of: 'bytea' })
  expect(shapes.bytea).toEqual({ kind: 'bytea' })
  expect(byName.get('j')!.element).toBe('integer')
  expect(byName.get('m')!.preferred).toBe(true)
  expect(byName.get('a')!.preferred).toBe(false)
  expect(types!.relation).toBe('public.item')
})

test('two databases with the same objects have one digest, whatever their oids and sessions', async () => {
  const other = uniqueName('same')
  await queryDatabase(database, `create database ${other} template template0`, { asGateway: true })
  const there = connectTo(other)
  try {
    await there.unsafe('create table before (id int); drop table before')
    await there.unsafe(OBJECTS)
    await there.unsafe(`
      set search_path = other, pg_catalog; set timezone = 'Asia/Tokyo'; set datestyle = 'German';
      create temp table other (id int); create function pg_temp.f() returns int language sql as 'select 1'`)
    const here = await readSchema(sql)
    const same = await readSchema(there)
    expect(same.digest).toBe(here.digest)
    expect(same.texts).toEqual(here.texts)
    expect(await readSchema(there, { known: [here.digest] })).toMatchObject({ facts: undefined })
    await there.unsafe(
      "create or replace function public.over(a int) returns int language sql as 'select 2'",
    )
    expect((await readSchema(there)).digest).not.toBe(here.digest)
    // What it sets ends with its transaction.
    const [row] = await there.unsafe(
      "select current_setting('search_path') as path, current_setting('timezone') as zone",
    )
    expect(row).toEqual({ path: 'other, pg_catalog', zone: 'Asia/Tokyo' })
  } finally {
    await there.end()
    await queryDatabase(database, `drop database ${other}`, { asGateway: true })
  }
})

test('CALLABLE_SCHEMAS says where functions are', async () => {
  const { facts, digest } = await readSchema(sql, { callableSchemas: ['other'] })
  expect(signaturesIn(facts!)).toMatchObject([{ name: 'elsewhere', schema: 'other' }])
  // All are there to be followed.
  expect(facts!.functions.map(({ name }) => name)).toContain('over')
  expect(digest).not.toBe((await readSchema(sql)).digest)
})

test('of equal functions, the first in the search path is called', async () => {
  await sql.unsafe(`create function other.over(a int) returns int language sql as 'select 3'`)
  await sql.unsafe(`alter database "${database}" set search_path = other, public`)
  const there = connectTo(database)
  try {
    const { facts } = await readSchema(there)
    const over = signaturesIn(facts!).filter(({ name }) => name === 'over')
    expect(over.map(({ identity }) => identity).sort()).toEqual([
      'other.over(integer)',
      'public.over(text)',
    ])
  } finally {
    await there.end()
    await sql.unsafe(
      `alter database "${database}" reset search_path; drop function other.over(int)`,
    )
  }
})
