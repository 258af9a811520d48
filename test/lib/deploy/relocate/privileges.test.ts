import { afterAll, beforeAll, expect, test } from 'vitest'
import { findNames } from '../../../../lib/deploy/relocate/check.ts'
import { privilegeObjects } from '../../../../lib/deploy/relocate/replicate/privileges.ts'
import { connectTo, uniqueName } from '../../../helpers/gateway.ts'

const home = connectTo('postgres')
const name = uniqueName('privileges')
const other = `${name}_other`
const sql = connectTo(name)
beforeAll(async () => {
  await home.unsafe(`create database ${name} template template0`)
  await home.unsafe(`create role ${other}`)
})
afterAll(async () => {
  await sql.end()
  await home.unsafe(`drop database if exists ${name}`)
  await home.unsafe(`drop role if exists ${other}`)
  await home.end()
})

test('a move by replication is refused for tables that the other server may not write as their owner', async () => {
  const [{ owner }] = await sql<[{ owner: string }]>`select quote_ident(current_user) as owner`
  await sql.unsafe(`
    create table plain (id integer primary key);
    create table added_to (id integer primary key);
    revoke update, delete, truncate on added_to from ${owner};
    create table corrected (id integer primary key);
    revoke update, delete, truncate on corrected from ${owner};
    grant update on corrected to ${other};
    create table kept (id integer primary key);
    revoke all on kept from ${owner};
    create table parts (id integer primary key) partition by range (id);
    create table parts_1 partition of parts for values from (0) to (10);
    revoke insert, update on parts from ${owner};
    create table halves (id integer primary key) partition by range (id);
    create table halves_1 partition of halves for values from (0) to (10);
    create table halves_2 partition of halves for values from (10) to (20) partition by range (id);
    create table halves_2_1 partition of halves_2 for values from (10) to (20);
    revoke update, delete on halves_1, halves_2, halves_2_1 from ${owner};
    revoke delete on halves from ${owner};
    create table child () inherits (plain);
    alter table child add primary key (id);
    revoke delete on child from ${owner};
    create table by_column (id integer primary key, v integer);
    revoke update on by_column from ${owner};
    grant update (v) on by_column to ${other};
    create table unread (id integer primary key);
    revoke select on unread from ${owner}
  `)
  const found = (major: number) =>
    Promise.all(privilegeObjects(major).map((objects) => findNames(sql, objects)))
  expect(await found(16)).toEqual([
    [
      'by_column: UPDATE',
      'child: DELETE',
      'corrected: UPDATE',
      'halves_1: UPDATE',
      'halves_2_1: UPDATE',
    ],
  ])
  await sql`drop table by_column, child, corrected, halves`
  expect(await found(16)).toEqual([['kept: INSERT, SELECT', 'unread: SELECT']])
  // A server before 16 writes as the owner of the subscription, a superuser.
  expect(await found(15)).toEqual([])
})
