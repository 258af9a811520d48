import { expect, test } from 'vitest'
import { readValues } from '../../../../lib/deploy/parser/parser.ts'

const valuesOf = async (text: string) => {
  const { calls, reads, writes, onRead, onWrite, unknown } = await readValues(text)
  return { calls: [...new Set(calls)], reads, writes, onRead, onWrite, unknown }
}

test.each([
  [`select f(g(1))`, ['f', 'g']],
  [
    `insert into t values (current_timestamp, localtime, current_catalog)`,
    ['now', 'current_database'],
  ],
  [`insert into t values ('now', 'Today 12:00', 'now or never', 'TOMORROW')`, ['now']],
  [`update t set x = case when a.f(1) then b() end`, ['f', 'b']],
  [`with x as (delete from t returning f(1)) select 1`, ['f']],
  [`create table t as select f(1)`, ['f']],
  [`create table t partition of u for values from (f(1)) to (2)`, ['f']],
  [`create domain d as text default f()`, ['f']],
  [`do $$ declare x int := f(1); begin if g() then x = h(2); end if; end $$`, ['f', 'g', 'h']],
  [`create schema s create table t (id int) create view v as select f(1)`, []],
  [`create function f() returns int language sql as 'select g()'`, []],
  [`create index on t (lower(x))`, []],
  [`grant select on t to public; comment on table t is 'now'`, []],
])('%s evaluates %j', async (text, calls) => {
  expect(await valuesOf(text)).toMatchObject({ calls, unknown: null })
})

test.each([
  [`create function f() returns int language sql as 'select 1'`, ['f'], []],
  [`create or replace function s.f() returns int language sql stable as 'select 1'`, ['f'], []],
  [`create procedure p() language sql as ''`, ['p'], []],
  [`create function f() returns int language sql immutable as 'select 1'`, [], []],
  [
    `alter function s.f() volatile; alter function g() immutable; alter function h() strict`,
    ['f'],
    [],
  ],
  [`alter function f() rename to g; alter table t rename to u`, ['g'], []],
  [`do $$ begin create function f() returns int language sql as 'select 1'; end $$`, ['f'], ['f']],
  [
    `create operator ||| (leftarg = int, rightarg = int, function = s.f)`,
    [],
    ['int4', 'int4', 'f'],
  ],
  [`create aggregate a (int) (sfunc = s.f, stype = s.t)`, [], ['f', 't']],
  [`create cast (int as tok) with function s.f(int)`, [], ['f']],
  [`alter domain d set default f()`, [], ['f']],
])('%s makes %j and may call %j', async (text, makes, calls) => {
  expect(await readValues(text)).toMatchObject({ makes, calls, unknown: null })
})

test('what a relation sets off is told apart from what a statement does', async () => {
  const values = await valuesOf(`
    create table t (id int default f(), at timestamptz default now() check (at > g()), other int references u);
    alter table t add column x int default h(), add foreign key (x) references u;
    create view v as select k(id) from t;
    create trigger tr before insert on t for each row when (new.id > l(1)) execute function m();
    create policy p on t using (n());
    insert into v values (1);
  `)
  expect(values).toEqual({
    calls: [],
    reads: ['v'],
    writes: ['v'],
    onWrite: [
      { relation: 't', calls: ['f', 'now'], reads: [] },
      { relation: 't', calls: ['h'], reads: [] },
      { relation: 'v', calls: ['k'], reads: ['t'] },
      { relation: 't', calls: ['m', 'l'], reads: [] },
    ],
    onRead: [
      { relation: 'v', calls: ['k'], reads: ['t'] },
      { relation: 't', calls: ['n'], reads: [] },
    ],
    unknown: null,
  })
})

test.each([
  [`do $$ begin execute 'select 1'; end $$`],
  [`do language plperl $$ 1 $$`],
  [`create role r`],
  [`drop extension pgcrypto`],
  [`alter database d set x = 1`],
  [`comment on database d is 'x'`],
  [`create rule r as on insert to t do also select 1`],
  [`create subscription s connection 'x' publication p`],
  [`call p()`],
  [`copy t from '/x'`],
  [`notify x`],
  [`this is no SQL`],
])('%s is not known', async (text) => {
  expect((await valuesOf(text)).unknown).not.toBeNull()
})
