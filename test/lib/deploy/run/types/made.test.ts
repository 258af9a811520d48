import { describe, expect, test } from 'vitest'
import { typeWarnings } from '../../../../../lib/deploy/run/types.ts'

import { attributes, checksums, deploy, deployed, evaluate, labels, setUp, sql } from './setup.ts'

setUp()

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
