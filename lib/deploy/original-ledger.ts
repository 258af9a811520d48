import type { SchemaFile } from '../archive/archive.ts'

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

/** SQL: whether an original gateway since 1.1 has managed the database. */
export const IS_OF_ORIGINAL = `(
    to_regclass('public._stonescriptdb_gateway_migrations') is not null
    or to_regclass('public._stonescriptdb_gateway_changelog') is not null
  )`

/**
 * The migration that an original gateway applied under another name: one whose name differs in the
 * extension alone, or one with the checksum of the same bytes. A checksum of 2.x says nothing under
 * another name: it is of a text in lower case, literals too, so that different migrations have the
 * same. `applied` are the checksums by name.
 */
export function nameInOriginal(
  file: SchemaFile,
  applied: ReadonlyMap<string, string>,
): string | undefined {
  const foreign = [...applied].filter(([, checksum]) => checksum.startsWith(FOREIGN_CHECKSUM))
  const checksums = [file.rawChecksum, file.checksum].map((checksum) => FOREIGN_CHECKSUM + checksum)
  const before =
    foreign.find(([name]) => stemOf(name) === stemOf(file.name)) ??
    foreign.find(([, checksum]) => checksums.includes(checksum))
  return before?.[0]
}

function stemOf(name: string): string {
  return name.replace(/\.[^./]+$/, '')
}
