import { describe, expect, test } from 'vitest'
import { splitStatements } from '../../../../lib/deploy/parser/parser.ts'
import type { Risk } from '../../../../lib/deploy/parser/risks.ts'

const risksOf = async (text: string): Promise<Risk[]> => (await splitStatements(text))[0]!.risks

describe('what a statement may take away', () => {
  test.each<[string, Risk[]]>([
    [
      'drop table if exists a."B c", d cascade',
      [{ kind: 'drop', what: 'relation', names: ['"a"."B c"', '"d"'], cascade: true }],
    ],
    [
      'drop materialized view m',
      [{ kind: 'drop', what: 'relation', names: ['"m"'], cascade: false }],
    ],
    ['drop view v', []],
    ['drop view v cascade', [{ kind: 'drop', what: 'relation', names: ['"v"'], cascade: true }]],
    ['drop type a.t', []],
    ['drop type a.t cascade', [{ kind: 'drop', what: 'type', names: ['"a"."t"'], cascade: true }]],
    ['drop schema a', []],
    [
      'drop schema a, "B" cascade',
      [{ kind: 'drop', what: 'schema', names: ['a', 'B'], cascade: true }],
    ],
    ['drop extension e', [{ kind: 'drop', what: 'extension', names: ['e'], cascade: false }]],
    ['drop owned by a, current_user', [{ kind: 'drop owned', roles: ['a'], current: true }]],
    ['drop function f', []],
    [
      'drop function f, a."F"(int, text[]) cascade',
      [
        {
          kind: 'drop',
          what: 'routine',
          names: [
            '{"schema":null,"name":"f","args":null}',
            String.raw`{"schema":"a","name":"F","args":["\"pg_catalog\".\"int4\"","\"text\"[]"]}`,
          ],
          cascade: true,
        },
      ],
    ],
    [
      'merge into a using b on a.x = b.x when not matched by source then delete',
      [{ kind: 'delete', relation: '"a"' }],
    ],
    [
      'merge into a using b on true when matched and true then delete',
      [{ kind: 'delete', relation: '"a"' }],
    ],
    ['merge into a using b on a.x = b.x when matched then delete', []],
    ['merge into a using b on true when matched and b.y then delete', []],
    [
      'truncate only a, b.c cascade',
      [{ kind: 'truncate', relations: ['"a"', '"b"."c"'], cascade: true }],
    ],
    ['delete from a using b', [{ kind: 'delete', relation: '"a"' }]],
    ['delete from a where true', [{ kind: 'delete', relation: '"a"' }]],
    ['delete from a where id = 1', []],
    [
      'with x as (with y as (delete from a returning *) select from y) insert into b select from x',
      [{ kind: 'delete', relation: '"a"' }],
    ],
    ['create function f() returns void language sql begin atomic delete from a; end', []],
    [
      'alter table a drop b cascade, set unlogged, no inherit p, drop constraint c',
      [
        { kind: 'drop column', relation: '"a"', column: 'b', cascade: true },
        { kind: 'set unlogged', relation: '"a"' },
        { kind: 'detach', relation: '"p"', isConcurrent: false },
        { kind: 'listed', change: 'constraint_dropped', table: 'a', name: 'c' },
      ],
    ],
    [
      'alter table a drop constraint c',
      [{ kind: 'listed', change: 'constraint_dropped', table: 'a', name: 'c' }],
    ],
    ['drop policy p on a.b', [{ kind: 'listed', change: 'policy_dropped', table: 'b', name: 'p' }]],
    [
      'alter table a detach partition b concurrently',
      [{ kind: 'detach', relation: '"b"', isConcurrent: true }],
    ],
    ['alter type t drop attribute a', [{ kind: 'drop attribute', type: '"t"', attribute: 'a' }]],
    ['alter table a alter b set not null, add c int', []],
  ])('%s', async (text, risks) => {
    expect(await risksOf(text)).toEqual(risks)
  })

  test.each([
    ['varchar(5)', { name: '"pg_catalog"."varchar"', modifiers: [5] }],
    ['a."B"[]', { name: '"a"."B"[]', modifiers: [] }],
    ['numeric(10, -2)', { name: '"pg_catalog"."numeric"', modifiers: [10, -2] }],
    ['timestamp(0) with time zone', { name: '"pg_catalog"."timestamptz"', modifiers: [0] }],
    ['interval(3)', { name: '"pg_catalog"."interval"', modifiers: [3] }],
    ['interval year', { name: '"pg_catalog"."interval"', modifiers: undefined }],
  ])('a type: %s', async (text, to) => {
    const [risk] = await risksOf(`alter table a alter b type ${text}`)
    expect(risk).toEqual({
      kind: 'change type',
      relation: '"a"',
      column: 'b',
      to,
      via: [],
      isComputed: false,
    })
  })

  test.each([
    ['b', 0, false],
    ['a.b', 0, false],
    ['b::text::int', 2, false],
    ['c::text', 1, true],
    ['left(b, 5)', 0, true],
    ["''", 0, true],
  ])('a conversion: using %s', async (using, casts, isComputed) => {
    const [risk] = await risksOf(`alter table a alter b type int using ${using}`)
    expect(risk).toMatchObject({ kind: 'change type', isComputed })
    expect(risk?.kind === 'change type' && risk.via).toHaveLength(casts)
  })
})
