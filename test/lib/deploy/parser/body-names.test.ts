import { loadModule } from 'libpg-query'
import { beforeAll, describe, expect, test } from 'vitest'
import { bodyNamesIn } from '../../../../lib/deploy/parser/body-names.ts'

beforeAll(() => loadModule())

const named = (text: string) =>
  bodyNamesIn(text).names.map(
    ({ kind, schema, name, column, line }) =>
      `${line} ${kind} ${[schema, name, column].filter((part) => part !== null).join('.')}`,
  )

describe('the names in a body', () => {
  test('are relations, functions and written columns, with their lines', () => {
    const text = `create or replace function f(a int) returns int language plpgsql as $$
declare
  x int := one(1); r item%rowtype; q item.id%type := 1; z pub.item%rowtype;
begin
  if a > two(a) then
    with c as (select 1) insert into gone (id, nope)
    select id from app.other, c;
    update item set
      zz = 1;
  end if;
  r.id := 3; x := (select 1
     from inner_one);
  for x in select * from third loop
    perform app.three(x);
    execute 'select * from dynamic' using four(1);
  end loop;
  insert into item as it values (1) on conflict do nothing returning five(name) into x;
  return (select 1);
end $$`
    expect(named(text).toSorted()).toEqual(
      [
        '2 function one',
        '4 function two',
        '5 relation gone',
        '5 column gone.id',
        '5 column gone.nope',
        '6 relation app.other',
        '7 relation item',
        '8 column item.zz',
        '11 relation inner_one',
        '12 relation third',
        '13 function app.three',
        '14 function four',
        '16 relation item',
        '16 function five',
      ].toSorted(),
    )
  })

  test('do not count what the body makes itself', () => {
    const text = `create function f() returns void language plpgsql as $$ begin
      create temp table mine as select 1; create temp table yours (x int); insert into mine values (1);
    end $$`
    expect(bodyNamesIn(text).makes).toEqual(['mine', 'yours'])
  })

  test.each([
    ['another language', 'create function f() returns int language sql as $$ select a() $$'],
    [
      'what does not parse',
      'create function f() returns int language plpgsql as $$ begin nonsense $$',
    ],
    ['another statement', 'create view v as select 1'],
  ])('of %s are none', (_what, text) => {
    expect(named(text)).toEqual([])
  })
})
