import type { SchemaFile } from '../../archive/archive.ts'
import { isInert } from './inert.ts'

/**
 * Prefix of a checksum that another program computed; such checksums are not comparable with the
 * ledger's own.
 */
export const FOREIGN_CHECKSUM = 'original:'

/**
 * SQL that copies the migrations that newer original gateways recorded in
 * `_stonescriptdb_gateway_migrations`, so that they do not run again. The original table is left
 * unchanged. The SQL runs as the gateway's role, so it reads the table only if it is plain, has the
 * original's columns, and is inert (`isInert`): the platform may have made it, and any other table
 * could run code on access. The lock keeps it so.
 */
export const CARRY_OVER_ORIGINAL = `
    do $do$ begin
      if not exists (
        select from pg_class c
        where c.relname = '_stonescriptdb_gateway_migrations' and c.relkind = 'r'
          and c.relnamespace = 'public'::regnamespace
      ) then
        return;
      end if;
      lock table only public._stonescriptdb_gateway_migrations in share row exclusive mode;
      if exists (
        select from pg_class c
        where c.relname = '_stonescriptdb_gateway_migrations' and c.relkind = 'r'
          and c.relnamespace = 'public'::regnamespace and not c.relrowsecurity
          and ${isInert('c')}
          and 3 = (
            select count(*) from pg_attribute a
            where a.attrelid = c.oid and (a.attname, a.atttypid) in (
              ('migration_file', 'text'::regtype), ('checksum', 'text'::regtype),
              ('applied_at', 'timestamptz'::regtype)
            )
          )
      ) then
        insert into public._db_gateway_migrations (migration_file, checksum, applied_at)
        select migration_file, '${FOREIGN_CHECKSUM}' || checksum, applied_at
        from only public._stonescriptdb_gateway_migrations
        -- The table of 1.0 may have the checksum of an older text.
        on conflict (migration_file) do update set checksum = excluded.checksum
          where not exists (
            select from public._db_gateway_deployments where status = 'completed'
          );
      end if;
    end $do$
  `

/**
 * Section of a row in `_db_gateway_files` that is not a file: it marks a database that existed
 * before the gateway.
 */
const TAKEN_OVER = 'taken_over'

/** SQL that marks the contents of the database as older than the gateway's first deploy. */
export const MARK_TAKEN_OVER = `
    insert into public._db_gateway_files (section, name, checksum)
    values ('${TAKEN_OVER}', 'database', '') on conflict do nothing
  `

/** SQL condition: MARK_TAKEN_OVER has been run in the database. The ledger must exist. */
export const IS_MARKED = `exists (
    select from public._db_gateway_files where section = '${TAKEN_OVER}'
  )`

/**
 * Whether the database has exactly the ledger of the original gateway 1.0: its one table and no
 * ledger schema.
 */
export function isLedgerOfFirst({ tables, hasSchema }: Ledgers): boolean {
  return !hasSchema && tables.length === 1 && tables[0] === '_db_gateway_migrations'
}

interface Ledgers {
  tables: readonly string[]
  hasSchema: boolean
}

/** SQL condition: an original gateway since 1.1 has managed the database. */
export const IS_OF_ORIGINAL = `(
    to_regclass('public._stonescriptdb_gateway_migrations') is not null
    or to_regclass('public._stonescriptdb_gateway_changelog') is not null
  )`

/**
 * Returns the name under which an original gateway applied this migration, if it was another name.
 * A recorded name matches if it differs only in the extension, or only in the folder and no other
 * file has the base name; a recorded checksum matches if it is of the same bytes.
 * Checksums of 2.x never match: they are computed from lower-cased text, literals included, so
 * different migrations can have the same one.
 * @param applied recorded checksums by name
 * @param files all migrations of the archive
 */
export function nameInOriginal(
  file: SchemaFile,
  applied: ReadonlyMap<string, string>,
  files: readonly SchemaFile[],
): string | undefined {
  const foreign = [...applied].filter(([, checksum]) => checksum.startsWith(FOREIGN_CHECKSUM))
  // Most databases have no such record, and an archive may have thousands of migrations.
  if (foreign.length === 0) return undefined
  const checksums = [file.rawChecksum, file.checksum].map((checksum) => FOREIGN_CHECKSUM + checksum)
  const stem = stemOf(file.name)
  const base = baseOf(stem)
  const isOnly = () => files.filter(({ name }) => baseOf(stemOf(name)) === base).length === 1
  const before =
    foreign.find(([name]) => stemOf(name) === stem) ??
    (isOnly() ? foreign.find(([name]) => stemOf(name) === base) : undefined) ??
    foreign.find(([, checksum]) => checksums.includes(checksum))
  return before?.[0]
}

function stemOf(name: string): string {
  return name.replace(/\.[^./]+$/, '')
}

function baseOf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1)
}
