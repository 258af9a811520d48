import type { Sql } from '../../postgres/pools/connection.ts'

/**
 * SQL that creates the table of databases under creation. A row exists from `create database` until
 * the catalog has the entry, so that a database which a killed gateway left unfinished is
 * recognised. The oid tells it from a database that was restored under the same name.
 */
export const CREATIONS = `
  create table if not exists _db_gateway_creations (
    database text primary key,
    oid oid not null
  )
`

/** Records that the database, which exists, is under creation. */
export async function beginCreation(admin: Sql, database: string): Promise<void> {
  await admin`
    insert into _db_gateway_creations (database, oid)
    select datname, oid from pg_database where datname = ${database}
    on conflict (database) do update set oid = excluded.oid
  `
}

/** Deletes the record of a creation if the database does not exist. */
export async function forgetCreation(admin: Sql, database: string): Promise<void> {
  await admin`
    delete from _db_gateway_creations
    where database = ${database} and not exists (select from pg_database where datname = ${database})
  `
}

/** Returns whether the database's creation was recorded and not completed. */
export async function isUnfinished(admin: Sql, database: string): Promise<boolean> {
  const rows = await admin`
    select from _db_gateway_creations c
    join pg_database d on d.datname = c.database and d.oid = c.oid
    where c.database = ${database}
  `
  return rows.length > 0
}
