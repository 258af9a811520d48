import { GatewayError } from '../errors.ts'
import { quoteIdentifier } from '../names.ts'
import type { Sql } from '../postgres/connection.ts'

/** Of the function by which the ledger is written; another version is not the same function. */
export const LEDGER_VERSION = 1

/**
 * The gateway's tables in each platform database. `_db_gateway_migrations` is named and laid out
 * as the original gateway did, with further columns, so that databases it managed carry over.
 */
const TABLES = `
  create table if not exists public._db_gateway_migrations (
    id serial primary key,
    migration_file text not null unique,
    checksum text not null,
    applied_at timestamptz default now()
  );
  alter table public._db_gateway_migrations
    -- applied; begun: it runs outside a transaction, and has not come to its end
    add column if not exists status text not null default 'applied',
    add column if not exists error text;

  create table if not exists public._db_gateway_types (
    file text primary key,
    checksum text not null,
    deployed_at timestamptz not null default now()
  );
  create table if not exists public._db_gateway_functions (
    file text primary key,
    checksum text not null,
    -- schema.name(types) of each function that the file made
    functions text[] not null default '{}',
    deployed_at timestamptz not null default now()
  );
  create table if not exists public._db_gateway_views (
    file text primary key,
    checksum text not null,
    -- the views that the file made, as SQL names them
    views text[] not null default '{}',
    deployed_at timestamptz not null default now()
  );
  create table if not exists public._db_gateway_seeders (
    file text primary key,
    checksum text not null,
    applied_at timestamptz not null default now()
  );
  create table if not exists public._db_gateway_deployments (
    id bigserial primary key,
    deployed_at timestamptz not null default now(),
    status text not null,
    archive_checksum text not null,
    tables_checksum text,
    request_id text not null,
    address text not null,
    migrations_applied text[] not null default '{}',
    migrations_repaired text[] not null default '{}',
    functions_deployed integer not null default 0,
    functions_changed integer not null default 0,
    functions_dropped text[] not null default '{}',
    seeders_applied text[] not null default '{}',
    table_changes jsonb not null default '[]',
    error jsonb,
    execution_time_ms integer not null
  );
`

/**
 * A deploy runs as the platform's role, in one transaction with its rows in the ledger, and that
 * role may not write them. So they go through a function of the gateway's, which asks for a key
 * that only the gateway has. It is a parameter, which no view of PostgreSQL shows, of a query that
 * is not prepared: a script could put a query of its own in the place of one that is.
 */
const FUNCTIONS = `
  create schema if not exists _db_gateway;
  create table if not exists _db_gateway.key (
    is_only boolean primary key default true check (is_only),
    digest bytea not null
  );

  create or replace function _db_gateway.accepts(the_key text, the_version integer)
  returns boolean language sql stable security definer set search_path = pg_catalog, pg_temp
  as $function$
    select the_version = ${LEDGER_VERSION} and exists (
      select from _db_gateway.key where digest = sha256(convert_to(the_key, 'UTF8'))
    )
  $function$;

  create or replace function _db_gateway.write(the_key text, kind text, rows jsonb)
  returns void language plpgsql security definer set search_path = pg_catalog, pg_temp
  as $function$
  #variable_conflict use_column
  begin
    if not _db_gateway.accepts(the_key, ${LEDGER_VERSION}) then
      raise insufficient_privilege using message = 'The ledger is the gateway''s to write';
    end if;
    case kind
      when 'new migrations' then
        insert into public._db_gateway_migrations (migration_file, checksum, status)
        select migration_file, checksum, status
        from jsonb_to_recordset(rows) as r (migration_file text, checksum text, status text);
      when 'migrations' then
        update public._db_gateway_migrations m
        set checksum = r.checksum, status = r.status, error = r.error
        from jsonb_to_recordset(rows)
          as r (migration_file text, checksum text, status text, error text)
        where m.migration_file = r.migration_file;
      when 'types' then
        insert into public._db_gateway_types as t (file, checksum)
        select file, checksum from jsonb_to_recordset(rows) as r (file text, checksum text)
        on conflict (file) do update set checksum = excluded.checksum, deployed_at = now()
        where t.checksum <> excluded.checksum;
      when 'function files' then
        insert into public._db_gateway_functions (file, checksum)
        select file, checksum from jsonb_to_recordset(rows) as r (file text, checksum text)
        on conflict (file) do update set checksum = excluded.checksum, deployed_at = now();
      when 'functions' then
        update public._db_gateway_functions f
        set functions = r.functions
        from jsonb_to_recordset(rows) as r (file text, functions text[])
        where f.file = r.file;
      when 'view files' then
        insert into public._db_gateway_views (file, checksum, views)
        select file, checksum, views
        from jsonb_to_recordset(rows) as r (file text, checksum text, views text[])
        on conflict (file) do update
          set checksum = excluded.checksum, views = excluded.views, deployed_at = now();
      when 'seeders' then
        insert into public._db_gateway_seeders (file, checksum)
        select file, checksum from jsonb_to_recordset(rows) as r (file text, checksum text);
      when 'functions gone' then
        delete from public._db_gateway_functions
        where file in (select r.file from jsonb_to_recordset(rows) as r (file text));
      when 'views gone' then
        delete from public._db_gateway_views
        where file in (select r.file from jsonb_to_recordset(rows) as r (file text));
      when 'deployments' then
        insert into public._db_gateway_deployments (
          status, archive_checksum, tables_checksum, request_id, address, migrations_applied,
          migrations_repaired, functions_deployed, functions_changed, functions_dropped,
          seeders_applied, table_changes, error, execution_time_ms
        )
        select
          status, archive_checksum, tables_checksum, request_id, address, migrations_applied,
          migrations_repaired, functions_deployed, functions_changed, functions_dropped,
          seeders_applied, table_changes, error, execution_time_ms
        from jsonb_populate_recordset(null::public._db_gateway_deployments, rows);
    end case;
  end $function$;

  revoke execute on all functions in schema _db_gateway from public;
`

/**
 * Creates the ledger, or what is missing of it, as the gateway's role. From now on it takes this
 * key, and `role` may read it.
 * @throws {GatewayError} name_conflict where somebody else has made something that goes by the
 *   ledger's names
 */
export async function createLedger(sql: Sql, key: string, role: string | null): Promise<void> {
  await sql.unsafe(TABLES)
  await sql.unsafe(FUNCTIONS)
  const [foreign] = await sql<{ name: string }[]>`
    select oid::regclass::text as name
    from pg_class
    where (relname like '\\_db\\_gateway\\_%' and relnamespace = 'public'::regnamespace
        or relnamespace = '_db_gateway'::regnamespace)
      and pg_get_userbyid(relowner) <> current_user
    union all
    select '_db_gateway' from pg_namespace
    where nspname = '_db_gateway' and pg_get_userbyid(nspowner) <> current_user
  `
  if (foreign) throw notOurs(foreign.name)
  await sql`
    insert into _db_gateway.key (digest) values (sha256(convert_to(${key}, 'UTF8')))
    on conflict (is_only) do update set digest = excluded.digest
    where key.digest <> excluded.digest
  `
  if (role !== null) await sql.unsafe(grants(quoteIdentifier(role)))
}

function grants(role: string): string {
  const tables = [...TABLES.matchAll(/create table if not exists (\S+)/g)].map(([, name]) => name)
  return `
    grant select on ${tables.join(', ')} to ${role};
    grant usage on schema _db_gateway to ${role};
    grant execute on all functions in schema _db_gateway to ${role};
  `
}

function notOurs(name: string): GatewayError {
  return new GatewayError(
    'name_conflict',
    `${name} has a name of the gateway's own, and does not belong to its role`,
  )
}
