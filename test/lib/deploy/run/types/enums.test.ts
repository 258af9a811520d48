import { describe, expect, test } from 'vitest'

import {
  database,
  deploy,
  deployed,
  evaluate,
  failure,
  labels,
  nextDeploy,
  setUp,
  sql,
} from './setup.ts'

setUp()

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
