import { createHash } from 'node:crypto'
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
 * The migration that an original gateway applied under another name: one with the same text, by the
 * checksum of its bytes or of the text that it had normalised; or one whose name differs in the
 * extension alone. `applied` are the checksums by name.
 */
export function nameInOriginal(
  file: SchemaFile,
  applied: ReadonlyMap<string, string>,
): string | undefined {
  const foreign = [...applied].filter(([, checksum]) => checksum.startsWith(FOREIGN_CHECKSUM))
  if (foreign.length === 0) return undefined
  const checksums = new Set(
    [file.rawChecksum, file.checksum, normalisedChecksum(file.text)].map(
      (checksum) => FOREIGN_CHECKSUM + checksum,
    ),
  )
  const isSame = ([name, checksum]: [string, string]) =>
    checksums.has(checksum) || stemOf(name) === stemOf(file.name)
  return foreign.find(isSame)?.[0]
}

/** Of the text without comments, in lower case, each run of blanks one space (2.x). */
function normalisedChecksum(text: string): string {
  const bare = text.replace(/\/\*[\s\S]*?\*\/|--[^\n]*/g, ' ')
  const normalised = bare.replace(/\s+/g, ' ').trim().toLowerCase()
  return createHash('sha256').update(normalised).digest('hex')
}

function stemOf(name: string): string {
  return name.replace(/\.[^./]+$/, '')
}
