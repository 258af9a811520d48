import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'

// A tenant that was born with a newer archive goes back as the others do, or is told that it does not.

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.stop())

const FIRST: Files = {
  'migrations/001_t.sql': 'create table t (id int); alter table t enable row level security;',
  'types/state.sql': "create type state as enum ('a');",
  'seeders/t.sql': 'insert into t values (1);',
  ...textFunction('motto', 'first'),
}
const SECOND: Files = {
  ...FIRST,
  'types/state.sql': "create type state as enum ('a', 'b');",
  'migrations/002_note.sql': 'alter table t add note text;',
  'policies/t.sql': 'create policy all_rows on t using (true);',
  'tables/extra.sql': 'create table extra (id int);',
  ...textFunction('motto', 'second'),
  ...textFunction('more', 'm'),
}

/** A platform with the first archive, then the second; the tenant `young` was born with that. */
async function newPlatform(first = FIRST, second = SECOND) {
  const name = uniqueName('born')
  const archives = { first: await pack(first), second: await pack(second) }
  expect((await gateway.register(name, archives.first)).status).toBe(200)
  expect((await gateway.register(name, archives.second)).status).toBe(200)
  expect((await gateway.register(name, archives.second, 'young')).status).toBe(200)
  return { name, ...archives }
}

const mottoOf = async (name: string) =>
  (await gateway.call(name, 'motto', [], 'young')).body.rows[0].motto

/** What a deploy of all of the first archive would take away. */
const othersOf = async (name: string) => {
  const [row] = await queryDatabase(
    `${name}_young`,
    `select (select count(*)::int from pg_policy) as policies,
       (select only_code from _db_gateway_deployments order by id desc limit 1) as only_code`,
  )
  return row
}

const CODE_ALONE = {
  body: {
    status: 'ready',
    functions_dropped: ['public.more()'],
    warnings: [
      'Only functions, views and triggers of this archive were deployed, because it is older than the one that was in place; tables, types, policies and rows stay as they are, and so do the migrations that it does not have: 002_note.sql',
    ],
  },
}

describe('a tenant that was born with the newer archive', () => {
  test('with allow=older: code alone goes back, and that is said', async () => {
    const { name, first, second } = await newPlatform()
    const answer = await gateway.register(name, first, 'young', { allow: 'older' })
    expect(answer).toMatchObject(CODE_ALONE)
    expect(await mottoOf(name)).toBe('first')
    expect(await othersOf(name)).toEqual({ policies: 1, only_code: true })
    // From now on its own ledger tells which is which.
    expect((await gateway.register(name, second, 'young')).body.superseded).toBe(true)
    expect((await gateway.register(name, first, 'young')).body).not.toHaveProperty('superseded')
  })

  test('with /migrate, where another database has gone back right before', async () => {
    const { name, first } = await newPlatform()
    const { body } = await gateway.migrate(name, first)
    expect(body).toMatchObject({ status: 'completed', migrations_applied: 0 })
    expect(await mottoOf(name)).toBe('first')
    expect(await othersOf(name)).toEqual({ policies: 1, only_code: true })
  })

  test('an old container, after the platform has gone back', async () => {
    const { name, first } = await newPlatform()
    await gateway.register(name, first, undefined, { allow: 'older' })
    expect(await gateway.register(name, first, 'young')).toMatchObject(CODE_ALONE)
    expect(await othersOf(name)).toEqual({ policies: 1, only_code: true })
  })

  test('that has not had all of the older one gets it, and is told why', async () => {
    const { name, first } = await newPlatform(
      { ...FIRST, 'migrations/000_own.sql': 'create table own (id int);' },
      { ...SECOND, 'types/state.sql': FIRST['types/state.sql']! },
    )
    const answer = await gateway.register(name, first, 'young', {
      allow: 'older,functions_missing',
    })
    expect(answer).toMatchObject({ status: 200, body: { migrations_applied: 1 } })
    expect(answer.body.warnings.join()).toMatch(
      /^The archive is older than [0-9a-f]{12}, which was in place, and all of it was deployed, because the database never had migrations\/000_own.sql/,
    )
  })
})
