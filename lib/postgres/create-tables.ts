import type { Sql } from './pools/connection.ts'

/**
 * Runs statements that create or alter the gateway's tables in the administrative database, in one
 * transaction. The statements must be repeatable, since they run at every start. An advisory lock
 * serialises gateways that start at once, because "if not exists" does not prevent a race.
 */
export async function createTables(sql: Sql, statements: string): Promise<void> {
  await sql.unsafe(`
    begin;
    select pg_advisory_xact_lock(hashtext('_db_gateway_databases'));
    ${statements};
    commit;
  `)
}

/**
 * Returns SQL that adds a column where it is missing. The check comes first because
 * `add column if not exists` locks the table even where the column exists.
 */
export function addMissingColumn(table: string, column: string, type: string): string {
  return whereMissing(table, column, `alter table ${table} add column ${column} ${type}`)
}

/** Returns SQL that runs the statements only where the table lacks the column. */
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
