import { LEDGER_VERSION } from './key.ts'

/**
 * Failed deploys that a ledger keeps. The number is limited because a container that fails to start
 * deploys again and again.
 */
const KEPT_FAILURES = 1000

/**
 * SQL that creates the table of the next key. Whoever creates it makes its columns in one order, since
 * the print of a database has that.
 */
export const KEY_TABLE = `
  create table if not exists _db_gateway.key (
    is_only boolean primary key default true check (is_only),
    digest bytea not null
  );
  alter table _db_gateway.key
    -- the number of keys used before this one
    add column if not exists number bigint not null default 0;
`

/**
 * SQL that creates the ledger's functions. A deploy runs as the platform's role, which may not
 * write the ledger, but its ledger rows must be in the deploy's own transaction. So it writes
 * through a SECURITY DEFINER function that asks for a key only the gateway can derive. Each key is
 * good for one write, and each write stores the digest of the next key. A key that shows up in a
 * log, a view of PostgreSQL or an error message is therefore useless.
 */
export const LEDGER_FUNCTIONS = `
  drop function if exists _db_gateway.accepts(text, integer);
  drop function if exists _db_gateway.write(text, text, jsonb);
  ${KEY_TABLE}
  create or replace function _db_gateway.state()
  returns table (version integer, number bigint, digest text)
  language sql stable security definer set search_path = pg_catalog, pg_temp
  as $function$
    select ${LEDGER_VERSION}, number, encode(digest, 'hex') from _db_gateway.key
  $function$;

  create or replace function _db_gateway.write(the_key text, next_digest text, changes jsonb)
  returns void language plpgsql security definer set search_path = pg_catalog, pg_temp
  as $function$
  begin
    update _db_gateway.key
    set number = number + 1, digest = decode(next_digest, 'hex')
    where digest = sha256(convert_to(the_key, 'UTF8'));
    if not found then
      raise insufficient_privilege using message = 'The ledger is the gateway''s to write';
    end if;

    update public._db_gateway_migrations m
    set migration_file = r.renamed
    from jsonb_to_recordset(changes -> 'renamed') as r (name text, renamed text)
    where m.migration_file = r.name;

    delete from public._db_gateway_migrations m
    using jsonb_to_recordset(changes -> 'undone') as r (name text)
    where m.migration_file = r.name and m.status = 'begun';

    insert into public._db_gateway_migrations as m (migration_file, checksum, status, error)
    select name, checksum, status, error
    from jsonb_to_recordset(changes -> 'migrations')
      as r (name text, checksum text, status text, error text)
    on conflict (migration_file) do update
      set checksum = excluded.checksum, status = excluded.status, error = excluded.error;

    delete from public._db_gateway_files f
    using jsonb_to_recordset(changes -> 'gone') as r (section text, name text)
    where f.section = r.section and f.name = r.name;

    insert into public._db_gateway_files as f (section, name, checksum, objects)
    select section, name, checksum, objects
    from jsonb_to_recordset(changes -> 'files')
      as r (section text, name text, checksum text, objects jsonb)
    on conflict (section, name) do update
      set checksum = excluded.checksum, objects = excluded.objects, deployed_at = now()
      where (f.checksum, f.objects) <> (excluded.checksum, excluded.objects);

    insert into public._db_gateway_deployments (
      status, archive_checksum, tables_checksum, catalog_digest, request_id, address,
      migrations_applied, migrations_repaired, functions_deployed, functions_changed,
      functions_dropped, seeders_applied, table_changes, only_code, error, execution_time_ms
    )
    select
      status, archive_checksum, tables_checksum, catalog_digest, request_id, address,
      migrations_applied, migrations_repaired, functions_deployed, functions_changed,
      functions_dropped, seeders_applied, table_changes, only_code, error, execution_time_ms
    from jsonb_populate_recordset(
      null::public._db_gateway_deployments, changes -> 'deployments'
    );

    if changes -> 'deployments' @> '[{"status": "failed"}]' then
      delete from public._db_gateway_deployments
      where status = 'failed' and id <= (
        select id from public._db_gateway_deployments
        where status = 'failed' order by id desc offset ${KEPT_FAILURES} limit 1
      );
    end if;
  end $function$;

  revoke execute on all functions in schema _db_gateway from public;
`
