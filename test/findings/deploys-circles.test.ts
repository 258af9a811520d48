import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'

// Tables of tables/ may refer to each other.

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.stop())

const CIRCLE: Files = {
  'tables/dept.sql': `create table dept (
    id int primary key,
    head_id int constraint "Head of" references emp (id) on delete set null deferrable initially deferred not null,
    note text default 'é, references (emp)' check (note <> ''),
    constraint twice foreign key (id, head_id) references pair
  );
  create index dept_head on dept (head_id);`,
  'tables/emp.sql': `create table emp (
    id int primary key,
    dept_id int not null references dept on update cascade, -- a comment, with a comma
    boss_id int references emp
  );`,
  'tables/pair.sql': `create table pair (
    foreign key (a) references dept,
    a int references emp, b int, primary key (a, b)
  );`,
}

const KEYS = `select conrelid::regclass::text as t, conname as name, pg_get_constraintdef(oid) as def
  from pg_constraint where contype = 'f' order by 1, 3`

const EXPECTED = [
  'dept: FOREIGN KEY (head_id) REFERENCES emp(id) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED',
  'dept: FOREIGN KEY (id, head_id) REFERENCES pair(a, b)',
  'emp: FOREIGN KEY (boss_id) REFERENCES emp(id)',
  'emp: FOREIGN KEY (dept_id) REFERENCES dept(id) ON UPDATE CASCADE',
  'pair: FOREIGN KEY (a) REFERENCES dept(id)',
  'pair: FOREIGN KEY (a) REFERENCES emp(id)',
]

const keysOf = (name: string) => queryDatabase(`${name}_main`, KEYS)
const definitions = (keys: Json[]) => keys.map(({ t, def }) => `${t}: ${def}`)

describe('tables that refer to each other', () => {
  test('are made, with all of their foreign keys, and compared', async () => {
    const name = uniqueName('circle')
    const made = await gateway.register(name, await pack(CIRCLE))
    expect(made).toMatchObject({ status: 200, body: { warnings: [] } })
    const keys = await keysOf(name)
    expect(definitions(keys)).toEqual(EXPECTED)
    expect(keys.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['Head of', 'twice', 'emp_dept_id_fkey']),
    )
    const [{ n }] = await queryDatabase(
      `${name}_main`,
      `select count(*)::int as n from pg_attribute where attrelid = 'dept'::regclass and attname = 'head_id' and attnotnull`,
    )
    expect(n).toBe(1)
    const more = { ...CIRCLE, 'migrations/001_x.sql': 'alter table emp add extra int' }
    const again = await gateway.register(name, await pack(more))
    expect(again.status).toBe(200)
    expect(again.body).toMatchObject({
      schema_validation: [{ table: 'emp', column: 'extra', kind: 'extra_column' }],
    })
  })

  test('are there for the migrations that name them', async () => {
    const name = uniqueName('circle')
    const files = { ...CIRCLE, 'migrations/001_x.sql': 'alter table emp add column name text' }
    const made = await gateway.register(name, await pack(files))
    expect(made).toMatchObject({ status: 200, body: { migrations_applied: 1 } })
    expect(definitions(await keysOf(name))).toEqual(EXPECTED)
  })

  test('what is wrong with such a key is told at its line', async () => {
    const files = {
      'tables/a.sql': `create table a (id int primary key, x int references b);`,
      'tables/b.sql': `create table b (\n  id int primary key,\n  x text\n    references a\n);`,
    }
    const { status, body } = await gateway.register(uniqueName('circle'), await pack(files))
    expect({ status, body }).toMatchObject({
      status: 422,
      body: { error: 'table_deploy_failed', file: 'tables/b.sql', line: 4, sqlstate: '42804' },
    })
  })
})
