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
    revoke insert on parts from ${owner}
  `)
  const found = (major: number) =>
    Promise.all(privilegeObjects(major).map((objects) => findNames(sql, objects)))
  expect(await found(16)).toEqual([['corrected: UPDATE', 'kept: INSERT']])
  // A server before 16 writes as the owner of the subscription, a superuser.
  expect(await found(15)).toEqual([])
})
