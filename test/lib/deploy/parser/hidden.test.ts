import { expect, test } from 'vitest'
import type { Hidden } from '../../../../lib/deploy/parser/hidden.ts'
import { readRoutine, splitStatements } from '../../../../lib/deploy/parser/parser.ts'

const hiddenOf = async (text: string) => (await splitStatements(text))[0]!.hidden
const found = (more: Partial<Hidden>): Hidden => ({
  risks: [],
  runsText: false,
  calls: [],
  deletes: [],
  commits: false,
  ...more,
})
const deletes = { kind: 'delete', relation: '"t"' } as const
const anything = found({ runsText: true })

test.each<[string, Hidden | undefined]>([
  ['select 1', undefined],
  ['select count(*) from t where a = 1', found({ calls: ['count'] })],
  ['select f(a) from t', found({ calls: ['f'] })],
  ['select 1 union all select f()', found({ calls: ['f'] })],
  ['with a as (select f()) select * from a', found({ calls: ['f'] })],
  [
    'do $$ begin delete from t where a = 1; commit; end $$',
    found({ deletes: ['t'], commits: true }),
  ],
  ["select setval('s', 1), pg_catalog.now()", undefined],
  ['create function f() returns void language sql as $$ delete from t $$', undefined],
  ['select f(g(1))', found({ calls: ['f', 'g'] })],
  ['select * from a.f()', found({ calls: ['f'] })],
  ['call p(f())', found({ calls: ['p', 'f'] })],
  ['do $$ begin if true then delete from t; end if; end $$', found({ risks: [deletes] })],
  ["do $$ begin execute 'delete from t'; end $$", found({ risks: [deletes] })],
  ["do $$ begin execute 'delete from ' || x(); end $$", found({ runsText: true, calls: ['x'] })],
  [
    "do $$ declare r record; begin for r in execute 'delete from t returning *' loop perform f(); end loop; end $$",
    found({ risks: [deletes], calls: ['f'] }),
  ],
  [
    'do $$ declare x int := f(); begin x := g(x); call p(); end $$',
    found({ calls: ['f', 'g', 'p'] }),
  ],
  ["do language plpgsql 'begin delete from t; end'", found({ risks: [deletes] })],
  ['do $$ begin this is no code $$', anything],
  ['do language plpython3u $$ x $$', anything],
])('behind the statement: %s', async (text, hidden) => {
  expect(await hiddenOf(text)).toEqual(hidden)
})

test.each<[string, Hidden]>([
  ['language sql as $$ delete from t; select g() $$', found({ risks: [deletes], calls: ['g'] })],
  [
    'language sql begin atomic delete from t; select g(); end',
    found({ risks: [deletes], calls: ['g'] }),
  ],
  ['language plpgsql as $$ begin return query execute x; end $$', anything],
  ['language plpgsql as $$ begin delete from t; end $$', found({ risks: [deletes] })],
  ["language c as 'a', 'b'", anything],
])('in a function: %s', async (text, hidden) => {
  expect(await readRoutine(`create function f() returns setof int ${text}`)).toEqual(hidden)
})
