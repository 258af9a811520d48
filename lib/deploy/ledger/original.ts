import type { SchemaFile } from '../../archive/archive.ts'

/** Before a checksum that another program worked out, whatever it is of. */
export const FOREIGN_CHECKSUM = 'original:'

/**
 * Takes over what the newer original gateways wrote into `_stonescriptdb_gateway_migrations`, which
 * stays as it is: a migration that is recorded there as applied does not run again. As the
 * gateway's role: a table that is not as they made it, and could have more than rows, is left alone.
 */
export const CARRY_OVER_ORIGINAL = `
    do $do$ begin
      if exists (
        select from pg_class c
        where c.relname = '_stonescriptdb_gateway_migrations' and c.relkind = 'r'
          and c.relnamespace = 'public'::regnamespace and not c.relrowsecurity
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
        -- 1.0 wrote its own table before, maybe with the checksum of an older text.
        on conflict (migration_file) do update set checksum = excluded.checksum
          where not exists (
            select from public._db_gateway_deployments where status = 'completed'
          );
      end if;
    end $do$
  `

/** Of a row in `_db_gateway_files` that is no file: the database was there before the gateway. */
const TAKEN_OVER = 'taken_over'

/** SQL that writes down that what is in the database was there before the gateway's first deploy. */
export const MARK_TAKEN_OVER = `
    insert into public._db_gateway_files (section, name, checksum)
    values ('${TAKEN_OVER}', 'database', '') on conflict do nothing
  `

/** SQL: whether MARK_TAKEN_OVER has been run in the database, whose ledger is there. */
export const IS_MARKED = `exists (
    select from public._db_gateway_files where section = '${TAKEN_OVER}'
  )`

/** Whether tables of these names, and nothing else of a gateway, are a ledger of 1.0. */
export function isLedgerOfFirst({ tables, hasSchema }: Ledgers): boolean {
  return !hasSchema && tables.length === 1 && tables[0] === '_db_gateway_migrations'
}

interface Ledgers {
  tables: readonly string[]
  hasSchema: boolean
}

/** SQL: whether an original gateway since 1.1 has managed the database. */
export const IS_OF_ORIGINAL = `(
    to_regclass('public._stonescriptdb_gateway_migrations') is not null
    or to_regclass('public._stonescriptdb_gateway_changelog') is not null
  )`

/**
 * The migration that an original gateway applied under another name: one whose name differs in the
 * extension alone, or in a folder where no other file has its name, or one with the checksum of the
 * same bytes. A checksum of 2.x says nothing under another name: it is of a text in lower case,
 * literals too, so that different migrations have the same. `applied` are the checksums by name,
 * `files` all migrations of the archive.
 */
export function nameInOriginal(
  file: SchemaFile,
  applied: ReadonlyMap<string, string>,
  files: readonly SchemaFile[],
): string | undefined {
  const foreign = [...applied].filter(([, checksum]) => checksum.startsWith(FOREIGN_CHECKSUM))
  const checksums = [file.rawChecksum, file.checksum].map((checksum) => FOREIGN_CHECKSUM + checksum)
  const stem = stemOf(file.name)
  const base = baseOf(stem)
  const isOnly = files.filter(({ name }) => baseOf(stemOf(name)) === base).length === 1
  const before =
    foreign.find(([name]) => stemOf(name) === stem) ??
    (isOnly ? foreign.find(([name]) => stemOf(name) === base) : undefined) ??
    foreign.find(([, checksum]) => checksums.includes(checksum))
  return before?.[0]
}

function stemOf(name: string): string {
  return name.replace(/\.[^./]+$/, '')
}

function baseOf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1)
}
