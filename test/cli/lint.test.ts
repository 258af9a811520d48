import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { cli, cliOutput } from '../helpers/cli.ts'
import { folderWith, temporaryFolder } from '../helpers/process.ts'

/** The findings of one migration, without its place: "rule: message". */
async function findingsIn(text: string, name = '002_x.sql'): Promise<string[]> {
  const folder = await folderWith({ [`postgresql/migrations/${name}`]: text })
  const { out } = await cli(['lint', '--json'], { folder })
  return JSON.parse(out).findings.map((one: { rule: string; message: string }) => {
    return `${one.rule}: ${one.message}`
  })
}

test('lint has nothing to say about the schema that init writes', async () => {
  const folder = await temporaryFolder()
  await cliOutput(['init', '--platform', 'shop'], { folder })
  expect(await cliOutput(['lint'], { folder })).toBe('✓ 4 files: nothing found\n')
  await rm(join(folder, 'tests'), { recursive: true })
  const { code, out } = await cli(['lint', '--strict'], { folder })
  expect(code).toBe(1)
  expect(out).toContain('untested: 2 functions have no test: there is no folder tests/')
})

test('lint shows each finding with its place and what to write instead', async () => {
  const folder = await folderWith({
    'postgresql/migrations/001_items.sql':
      'create table items (id int, name text);\ncreate index on items (id);',
    'postgresql/migrations/002_name.sql': 'alter table items\n  alter name set not null;',
    'postgresql/functions/a.sql': `-- ü
create function broken() returns int language sql as $$
  selct 1;
$$;`,
    'postgresql/functions/b.sql':
      'create function tested() retuns int language sql as $$ select 1 $$;',
    'postgresql/functions/c.sql': `create function often() returns int language plpgsql as $$
begin
  return 1 +;
end $$;`,
    'tests/t.sql': 'select broken(); select 1 1;',
  })
  const { code, out, err } = await cli(['lint', '--since', '002'], { folder })
  expect(err).toBe('')
  expect(code).toBe(1)
  expect(
    out,
  ).toBe(`warning long-lock: items: SET NOT NULL of name blocks reads and writes until every row is read
  postgresql/migrations/002_name.sql:1
  1 | alter table items
  → Write "add constraint … check (name is not null) not valid", in the next migration file "validate constraint …" in a file that begins with "-- gateway: no-transaction", then "set not null", which needs no look at the rows then

error syntax: syntax error at or near "selct"
  postgresql/functions/a.sql:3
  3 |   selct 1;
    |   ^
  → Correct it; PostgreSQL's parser reads no further

error syntax: syntax error at or near "retuns"
  postgresql/functions/b.sql:1
  1 | create function tested() retuns int language sql as $$ select 1 $$;
    |                          ^
  → Correct it; PostgreSQL's parser reads no further

error syntax: syntax error at end of input
  postgresql/functions/c.sql:1
  1 | create function often() returns int language plpgsql as $$
  → Correct it; PostgreSQL's parser reads no further

warning untested: No file in tests/ names the function often
  postgresql/functions/c.sql:1
  1 | create function often() returns int language plpgsql as $$
  → Write a test that calls it

error syntax: syntax error at or near "1"
  tests/t.sql:1
  1 | select broken(); select 1 1;
    |                           ^
  → Correct it; PostgreSQL's parser reads no further

6 files: 4 errors, 2 warnings
`)
  expect(await cli(['lint', '--since', '009'], { folder })).toMatchObject({ code: 2 })
})

test.each([
  ['create index on items (id)', 'long-lock: Blocks writes to items until the index is built'],
  ['reindex table items', 'long-lock: Blocks writes, and reads by the index'],
  ['refresh materialized view items', 'long-lock: Blocks reads of items'],
  ['cluster items', 'long-lock: CLUSTER'],
  ['lock table items', 'long-lock: Holds its lock'],
  ['update items set name = 1', 'long-lock: Writes every row of items'],
  ['alter table items add k uuid default gen_random_uuid()', 'long-lock: items: the new column k'],
  [
    'alter table items add k bigserial',
    'long-lock: items: the new column k gives each row a number',
  ],
  ['alter table items add k int not null', 'not-null: items: the new column k is NOT NULL'],
  ['alter table items add check (id > 0)', 'long-lock: items: the check blocks'],
  ['alter table items add foreign key (id) references o', 'long-lock: items: the foreign key'],
  ['alter table items add primary key (id)', 'long-lock: items: the constraint blocks'],
  ['alter table items alter id type text', 'long-lock: items: a new type of id'],
  ['drop table items', 'data-loss: Drops the table or sequence "items"'],
  ['alter table items drop name', 'data-loss: Drops the column "items".name'],
  ['update items set a = 1 where true', 'long-lock: Writes every row of items'],
  ['delete from items where true', 'data-loss: Deletes all rows of "items"'],
  ['truncate items', 'data-loss: Takes all rows of "items"'],
  ['do $$ begin delete from items; end $$', 'data-loss: Deletes all rows of "items"'],
  ['drop policy own on items', 'weaker-rule: policy dropped: own on items'],
  ['begin', 'refused: The statement begins or ends a transaction'],
  ['create index concurrently on items (id)', 'refused: CREATE INDEX CONCURRENTLY cannot run in'],
  ['drop index concurrently k', 'refused: DROP INDEX CONCURRENTLY cannot'],
  ['reindex index concurrently k', 'refused: REINDEX CONCURRENTLY cannot'],
  ['vacuum items', 'refused: VACUUM cannot'],
  ['drop database x', 'refused: DROP DATABASE cannot'],
  ['alter system set work_mem = 1', 'refused: ALTER SYSTEM cannot'],
  ['-- gateway: notransaction\nselect 1', 'directive: "-- gateway: notransaction" is not'],
  ['\\set a 1', 'refused: \\set is a command of psql'],
])('lint finds %s', async (statement, finding) => {
  const found = await findingsIn(`${statement};`)
  expect(found).toHaveLength(1)
  expect(found[0]).toContain(finding)
})

test.each([
  '-- gateway: no-transaction\ncreate index concurrently on items (id)',
  'analyze items; refresh materialized view concurrently seen',
  'alter table items add k int, add m timestamptz not null default now(), add r int references o',
  'alter table items add constraint k check (id > 0) not valid',
  'alter table items add constraint k primary key using index k',
  'create table new (id int); create index on new (id); drop table new; alter table new add k serial',
  '-- gateway: allow-data-loss\ndrop table items',
  'select 1; -- it is small\n-- lint: allow long-lock\ncreate index on items (id)',
  'delete from items where id = 1; drop view seen; insert into items values (1)',
])('lint has nothing to say about %s', async (statement) => {
  expect(await findingsIn(`${statement};`)).toEqual([])
})

test('lint names migrations without order, and two files that make one thing', async () => {
  const folder = await folderWith({
    'postgresql/migrations/001_a.sql': 'select 1;',
    'postgresql/migrations/1_b.sql': 'select 2;',
    'postgresql/migrations/001_b.down.sql': 'drop table b;',
    'postgresql/migrations/more.sql': 'select 3;',
    'postgresql/functions/a.sql':
      'create function f(a int) returns int language sql as $$ select 1 $$;',
    'postgresql/functions/b.sql':
      'create function public.f(integer) returns text language sql as $$ select $a$1$a$ $$;',
    'postgresql/functions/notes.md': '',
    'tests/f.sql': 'select f(1)',
  })
  const { code, out } = await cli(['lint', '--json'], { folder })
  expect(code).toBe(1)
  const { findings, ...rest } = JSON.parse(out)
  expect(rest).toMatchObject({ files: 7, errors: 1, warnings: 3 })
  expect(findings).toMatchObject([
    { rule: 'order', message: expect.stringContaining('the number of 001_a.sql') },
    { rule: 'order', file: 'postgresql/migrations/more.sql', line: 1 },
    { rule: 'made-twice', message: 'functions/a.sql makes the function f too' },
  ])
})
