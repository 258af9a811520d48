import type { Files } from '../../helpers/platforms.ts'
import { BY_HAND } from './by-hand.ts'
import { ERRORS } from './errors.ts'
import type { Kind } from './kinds.ts'
import { LEAVINGS } from './leavings.ts'
import { READS } from './reads.ts'
import { WRITES } from './writes.ts'

/** All functions that are called. */
export const KINDS: readonly Kind[] = [...READS, ...WRITES, ...ERRORS, ...LEAVINGS, ...BY_HAND]

const TABLES = `
  create table writes (token text not null);
  create sequence runs;
  create sequence leaked;
  create table counted (n int);
  create type mood as enum ('glad', 'sad');
  create type pair as (t text, n int);
  create table item (id int primary key check (id > 0), name text);
  insert into item select n, 'item ' || n from generate_series(1, 500) n;
  create table watched (token text);
  create function on_watched() returns trigger language plpgsql as $f$
    begin insert into writes values (new.token); return new; end $f$;
  create trigger on_watched before insert on watched for each row execute function on_watched();
`

/** What is changed by hand is made by hand, so that no deploy takes it back. */
export const MADE_BY_HAND = `
  create type order_status as enum ('new', 'paid');
  create table orders (id int primary key, status text default 'new');
  insert into orders select n, 'new' from generate_series(1, 200) n;
  create table star (id int, name text);
  insert into star values (1, 'star');
  ${BY_HAND.map(({ sql }) => sql).join('\n')}
`

/** The archive of a version: each changes a type, a table and the result of a function. */
export function filesOf(version: number): Files {
  const versions = Array.from({ length: version }, (_, i) => i + 1)
  return {
    'migrations/0000_tables.pssql': TABLES,
    ...Object.fromEntries(
      versions.map((n) => [`migrations/${String(n).padStart(4, '0')}_change.pssql`, change(n)]),
    ),
    ...Object.fromEntries(
      KINDS.filter(({ sql, isByHand }) => sql !== '' && !isByHand).map(({ name, sql }) => [
        `functions/${name}.pssql`,
        sql,
      ]),
    ),
    'functions/read_changing.pssql': changingSql(version),
  }
}

function change(version: number): string {
  return `
    alter type pair alter attribute n type ${version % 2 ? 'bigint' : 'int'} cascade;
    alter table item add column v${version} int default ${version};`
}

function changingSql(version: number): string {
  const [table, columns] =
    version % 2
      ? ['token text, version bigint', `p_token, ${version}::bigint`]
      : ['token text, version int, more text', `p_token, ${version}, 'x'`]
  return `create or replace function read_changing(p_token text) returns table (${table})
    language sql as $f$ select ${columns} $f$;`
}
