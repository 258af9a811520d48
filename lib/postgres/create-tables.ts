import type { Sql } from './pools/connection.ts'

/**
 * Runs statements that create or alter the gateway's tables in the administrative database where that
 * was not done yet, in one transaction. It holds a lock: "if not exists" does not keep two gateways
 * that start at once from colliding.
 */
export async function createTables(sql: Sql, statements: string): Promise<void> {
  await sql.unsafe(`
    begin;
    select pg_advisory_xact_lock(hashtext('_db_gateway_databases'));
    ${statements};
    commit;
  `)
}

/** SQL that adds a column where it is missing: adding one locks the table, even one that is there. */
export function addMissingColumn(table: string, column: string, type: string): string {
  return whereMissing(table, column, `alter table ${table} add column ${column} ${type}`)
}

/** SQL of statements that run where a table lacks a column. */
export function whereMissing(table: string, column: string, statements: string): string {
  return `
    do $do$ begin
      if not exists (
        select from pg_attribute where attrelid = '${table}'::regclass and attname = '${column}'
      ) then
        ${statements};
      end if;
    end $do$
  `
}
