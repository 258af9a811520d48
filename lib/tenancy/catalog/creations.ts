import type { Sql } from '../../postgres/pools/connection.ts'

/**
 * The table of databases that are being created. A row is there from the creation of a database until
 * the catalog has it, so that one that a killed gateway has left is known. It has the database's oid:
 * one that was restored under the same name is another database.
 */
export const CREATIONS = `
  create table if not exists _db_gateway_creations (
    database text primary key,
    oid oid not null
  )
`

/** Writes down that the database, which exists, is being made. */
export async function beginCreation(admin: Sql, database: string): Promise<void> {
  await admin`
    insert into _db_gateway_creations (database, oid)
    select datname, oid from pg_database where datname = ${database}
    on conflict (database) do update set oid = excluded.oid
  `
}

/** Forgets a database that is not there any more. */
export async function forgetCreation(admin: Sql, database: string): Promise<void> {
  await admin`
    delete from _db_gateway_creations
    where database = ${database} and not exists (select from pg_database where datname = ${database})
  `
}

/** Whether the database was being made when its gateway ended. */
export async function isUnfinished(admin: Sql, database: string): Promise<boolean> {
  const rows = await admin`
    select from _db_gateway_creations c
    join pg_database d on d.datname = c.database and d.oid = c.oid
    where c.database = ${database}
  `
  return rows.length > 0
}
