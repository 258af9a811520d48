import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { queryDatabase, startTestGateway, type TestGateway } from '../helpers/gateway.ts'
import type { Files } from '../helpers/platforms.ts'
import { newPlatform as newPlatformOf } from '../helpers/releases.ts'

// An unchanged view that says `*` has the columns that a new database would have.

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.stop())

const newPlatform = (views: Files) =>
  newPlatformOf(gateway, {
    'migrations/001_base.sql': 'create table t (id int, b int); create table u (x int);',
    ...views,
  })

const COLUMNS = `
  select c.relname as name, string_agg(attname, ' ' order by attnum) as columns, c.oid::int as oid
  from pg_attribute a join pg_class c on c.oid = a.attrelid
  where relkind in ('v', 'm') and relnamespace = 'public'::regnamespace
    and attnum > 0 and relname !~ '^_db_gateway'
  group by c.oid order by 1`

const MORE = { 'migrations/002_more.sql': 'alter table t add column c text;' }

const columnsIn = async (query: (text: string) => Promise<{ name: string; columns: string }[]>) =>
  Object.fromEntries((await query(COLUMNS)).map(({ name, columns }) => [name, columns]))

test('a plain view, one on it, and a materialized one', async () => {
  const { deploy, query } = await newPlatform({
    'views/a.sql': `-- a view
      create view a as select * from t with check option; comment on view a is 'an a';`,
    'views/b.sql': 'create view b (one) as select /* as */ a.*, u.x from a, u',
    'views/m.sql':
      'create materialized view m as select * from t as x with no data; create index on m (id);',
    'views/n.sql': 'create materialized view n as select id from t;',
    'views/o.sql': 'create view o as select * from u;',
  })
  const before = await query(COLUMNS)
  const { body } = await deploy(MORE)
  expect(body).toMatchObject({ status: 'ready' })
  expect(await columnsIn(query)).toEqual({
    a: 'id b c',
    b: 'one b c x',
    m: 'id b c',
    n: 'id',
    o: 'x',
  })
  const after = await query(COLUMNS)
  const isSame = (name: string) =>
    before.find((one) => one.name === name).oid === after.find((one) => one.name === name).oid
  expect(['a', 'n', 'o'].map(isSame)).toEqual([true, true, true])
  expect(body.warnings).toContain(
    'views/a.sql: what it selects from has other columns now; it has been made again',
  )
  const again = await deploy({ 'migrations/003_none.sql': 'select 1;' })
  expect(again.body.warnings).toEqual([])
})

test('what depends on it stays where columns are only added', async () => {
  const { database, deploy, query } = await newPlatform({
    'views/a.sql': 'create view a as select * from t;',
  })
  await queryDatabase(database, 'create view by_hand as select id from a')
  const { body } = await deploy(MORE)
  expect(body).toMatchObject({ status: 'ready' })
  expect(await columnsIn(query)).toEqual({ a: 'id b c', by_hand: 'id' })
})

describe('another file changes', () => {
  test('a view that a view selects from', async () => {
    const { deploy, query } = await newPlatform({
      'views/a.sql': 'create or replace view a as select id from t;',
      'views/b.sql': 'create view b as select * from a;',
      'views/m.sql': 'create materialized view m as select * from b;',
    })
    const { body } = await deploy({
      'views/a.sql': 'create or replace view a as select id, b from t;',
    })
    expect(body).toMatchObject({ status: 'ready' })
    expect(await columnsIn(query)).toEqual({ a: 'id b', b: 'id b', m: 'id b' })
  })
})
