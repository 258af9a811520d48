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
        on conflict (migration_file) do nothing;
      end if;
    end $do$
  `
