import { addMissingColumn } from '../../postgres/create-tables.ts'
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
  );
  ${addMissingColumn('_db_gateway_creations', 'is_import', 'boolean not null default false')}
`

/**
 * Records that the database, which exists, is under creation.
 * @param isImport a dump is restored into it, so that its ledger says nothing about its completeness
 */
export async function beginCreation(admin: Sql, database: string, isImport = false): Promise<void> {
  await admin`
    insert into _db_gateway_creations (database, oid, is_import)
    select datname, oid, ${isImport}::boolean from pg_database where datname = ${database}
    on conflict (database) do update set oid = excluded.oid, is_import = excluded.is_import
  `
}

/**
 * Records that a database of this name, which does not exist, is about to be created for an import:
 * a gateway that is killed before `beginCreation` leaves it empty.
 */
export async function announceImport(admin: Sql, database: string): Promise<void> {
  await admin`
    insert into _db_gateway_creations (database, oid, is_import) values (${database}, 0, true)
    on conflict (database) do update set oid = 0, is_import = true
  `
}

/** Takes back what `announceImport` has recorded. */
export async function withdrawImport(admin: Sql, database: string): Promise<void> {
  await admin`delete from _db_gateway_creations where database = ${database} and oid = 0`
}

/** Returns whether an import has announced the database and not recorded that it was created. */
export async function isAnnounced(admin: Sql, database: string): Promise<boolean> {
  const rows = await admin`
    select from _db_gateway_creations where database = ${database} and oid = 0
  `
  return rows.length > 0
}

/** Deletes the record of a creation if the database does not exist. */
export async function forgetCreation(admin: Sql, database: string): Promise<void> {
  await admin`
    delete from _db_gateway_creations
    where database = ${database} and not exists (select from pg_database where datname = ${database})
  `
}

/** Returns whether the database's creation was recorded and not completed, and how it was made. */
export async function findUnfinished(
  admin: Sql,
  database: string,
): Promise<'deploy' | 'import' | undefined> {
  const [row] = await admin<{ is_import: boolean }[]>`
    select is_import from _db_gateway_creations c
    join pg_database d on d.datname = c.database and d.oid = c.oid
    where c.database = ${database}
  `
  if (!row) return undefined
  return row.is_import ? 'import' : 'deploy'
}
