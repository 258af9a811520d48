import { describe, expect, test } from 'vitest'

import { failure, setUp, sql } from './setup.ts'

setUp()

describe('an error of PostgreSQL’s has its file, line and place', () => {
  const unknownType = {
    code: 'table_deploy_failed',
    status: 422,
    message: 'Table file t.pssql failed',
    sqlstate: '42704',
    cause: 'type "textt" does not exist',
    file: 'tables/t.pssql',
    line: 3,
    source: '  "Ä" /* 😀 */ int references public.u, b textt',
    caret: '                                          ^',
  }
  const files = {
    't.pssql': `-- °C\ncreate /* ${'°'.repeat(30)} */ table public . t (\n${unknownType.source}\n)`,
    'u.pssql': 'create table public.u (id int primary key)',
  }

  test('in a table that does not exist', async () => {
    expect(await failure(files)).toMatchObject(unknownType)
  })

  test('in a table that exists', async () => {
    await sql.unsafe('create table u (id int primary key); create table t ("Ä" int)')
    expect(await failure(files)).toMatchObject(unknownType)
  })

  test('in a table that exists, at its name', async () => {
    await sql.unsafe('create table u (); create table t ()')
    expect(
      await failure({ 't.pssql': 'create table public.t (a int references t (b), c int)' }),
    ).toMatchObject({
      sqlstate: '42703',
      cause: 'column "b" referenced in foreign key constraint does not exist',
      line: 1,
    })
    await sql.unsafe('rollback; begin; create table t ()')
    expect(
      await failure({ 't.pssql': 'create table t () inherits (\n  no_such.parent\n)' }),
    ).toMatchObject({ sqlstate: '3F000', cause: 'schema "no_such" does not exist' })
  })

  test('in a text that does not parse, before what comes of it elsewhere', async () => {
    expect(
      await failure({
        'a.pssql': 'create table a (b_id int references b)',
        'b.pssql': 'create table b (\n  id int primary key,\n)',
      }),
    ).toMatchObject({
      code: 'table_deploy_failed',
      sqlstate: '42601',
      file: 'tables/b.pssql',
      line: 3,
      caret: '^',
    })
  })

  test('where a table is declared twice, new or not', async () => {
    const twice = {
      'a.pssql': 'create table t (a int)',
      'b.pssql': 'create table public.t (a int)',
    }
    const error = {
      sqlstate: '42P07',
      cause: 'relation "t" already exists',
      file: 'tables/b.pssql',
    }
    expect(await failure(twice)).toMatchObject(error)
    await sql.unsafe('rollback; begin; create table t (a int)')
    expect(await failure(twice)).toMatchObject(error)
  })

  test('where a foreign key lacks its table', async () => {
    expect(
      await failure({ 't.pssql': 'create table t (\n  a int references nowhere\n)' }),
    ).toMatchObject({ sqlstate: '42P01', cause: 'relation "nowhere" does not exist', line: 1 })
  })

  test('where a file ends the transaction', async () => {
    expect(await failure({ 't.pssql': 'create table t ();\nrollback' })).toMatchObject({
      code: 'table_deploy_failed',
      line: 2,
    })
  })
})
