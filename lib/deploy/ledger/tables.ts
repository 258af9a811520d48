import { GatewayError } from '../../errors.ts'
import { isPostgresError } from '../../postgres/errors.ts'
import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'

import { ANSWERS, ANSWERS_FUNCTIONS } from './answers.ts'
import { LEDGER_FUNCTIONS } from './functions.ts'
import { digestOf } from './key.ts'

/**
 * The gateway's tables in each platform database. `_db_gateway_migrations` has the original
 * gateway's name and columns, plus further ones, so that databases of the original carry over.
 */
const TABLES = `
  create table if not exists public._db_gateway_migrations (
    id serial primary key,
    migration_file text not null unique,
    checksum text not null,
    applied_at timestamptz default now()
  );
  alter table public._db_gateway_migrations
    -- applied; begun: it runs outside of a transaction and has not finished
    add column if not exists status text not null default 'applied',
    add column if not exists error text;

  create table if not exists public._db_gateway_files (
    -- types, functions, views, seeders, …: every section except migrations
    section text not null,
    name text not null,
    checksum text not null,
    -- objects that the file created: {"kind": "function", "identity": "schema.name(types)"}
    objects jsonb not null default '[]',
    deployed_at timestamptz not null default now(),
    primary key (section, name)
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
  alter table public._db_gateway_deployments
    -- digest of the catalogs at the end of the deploy
    add column if not exists catalog_digest text,
    -- only functions, views and triggers of the archive were deployed
    add column if not exists only_code boolean;
  -- finds the last successful deploy, however many have failed since
  create index if not exists _db_gateway_deployments_status
    on public._db_gateway_deployments (status, id);
`

/**
 * Converts the ledger's first version, which had one table a section. A gateway of that version may
 * still be running: the view makes it fail and roll back where it would run a seeder again.
 */
const CARRY_OVER = `
  do $carry$
  declare
    old record;
  begin
    for old in
      select * from (values
        ('types', $x$'[]'$x$),
        ('functions', $x$coalesce((
          select jsonb_agg(jsonb_build_object('kind', 'function', 'identity', made))
          from unnest(functions) made
        ), '[]')$x$),
        ('views', $x$coalesce((
          select jsonb_agg(jsonb_build_object('kind', 'view', 'identity', made))
          from unnest(views) made
        ), '[]')$x$),
        ('seeders', $x$'[]'$x$)
      ) as v (section, objects)
      join pg_class c on c.relname = '_db_gateway_' || v.section and c.relkind = 'r'
        and c.relnamespace = 'public'::regnamespace
    loop
      execute format(
        'insert into public._db_gateway_files (section, name, checksum, objects)
         select %L, file, checksum, %s from public._db_gateway_%s
         on conflict (section, name)
         do update set checksum = excluded.checksum, objects = excluded.objects',
        old.section, old.objects, old.section
      );
      execute format('drop table public._db_gateway_%s', old.section);
    end loop;
  end $carry$;

  create or replace view public._db_gateway_seeders as
    select name as file, checksum, deployed_at as applied_at
    from public._db_gateway_files where section = 'seeders';
`

/** SQLSTATE that CHECK_OWNERS raises for an object of another owner; PostgreSQL does not use it. */
const NOT_OURS = 'DG001'

/**
 * Checks the owners of all objects with the ledger's names. Runs before and after the ledger is
 * created, since the platform may create objects at the same time.
 */
const CHECK_OWNERS = `
  do $check$
  declare
    foreign_name text := (
      select oid::regclass::text
      from pg_class
      where (relname like '\\_db\\_gateway\\_%' and relnamespace = 'public'::regnamespace
          or relnamespace = '_db_gateway'::regnamespace)
        and pg_get_userbyid(relowner) <> current_user
      union all
      select '_db_gateway' from pg_namespace
      where nspname = '_db_gateway' and pg_get_userbyid(nspowner) <> current_user
      limit 1
    );
  begin
    if foreign_name is not null then
      raise exception using errcode = '${NOT_OURS}', message = foreign_name;
    end if;
  end $check$;
`

/**
 * Creates the ledger, or what is missing of it, as the gateway's role. The ledger then accepts keys
 * derived from `key`, and `role` may read it. Sends one query, and a second one if the ledger had
 * another key.
 * @throws {GatewayError} name_conflict if another role owns an object with one of the ledger's
 *   names
 */
export async function createLedger(sql: Sql, key: string, role: string | null): Promise<void> {
  try {
    const results: unknown = await send(
      sql.unsafe(`
        create schema if not exists _db_gateway;
        ${CHECK_OWNERS} ${TABLES} ${CARRY_OVER} ${ANSWERS} ${LEDGER_FUNCTIONS} ${CHECK_OWNERS}
        insert into _db_gateway.key (number, digest)
        values (0, decode('${digestOf(key, 0)}', 'hex'))
        on conflict (is_only) do nothing;
        ${role === null ? '' : grants(quoteIdentifier(role))}
        select number::text, encode(digest, 'hex') as digest from _db_gateway.key
      `),
    )
    const [row] = (results as { number: string; digest: string }[][]).at(-1)!
    await setKey(sql, key, row!)
  } catch (error) {
    throw explained(error)
  }
}

/**
 * Creates the table of kept answers and its functions, as the gateway's role, in one transaction: for
 * a ledger that a gateway without them created. `role` may execute the functions.
 * @throws {GatewayError} name_conflict, as `createLedger`
 */
export async function createAnswers(sql: Sql, role: string | null): Promise<void> {
  const names = ANSWERS_FUNCTIONS.join(', ')
  const grant = role === null ? '' : grantExecute(names, quoteIdentifier(role))
  try {
    await sql.unsafe(`
      create schema if not exists _db_gateway;
      ${CHECK_OWNERS} ${ANSWERS} ${CHECK_OWNERS}
      revoke all on _db_gateway.answers from public;
      revoke execute on function ${names} from public;
      ${grant}
    `)
  } catch (error) {
    throw explained(error)
  }
}

function grantExecute(names: string, role: string): string {
  return `
    grant usage on schema _db_gateway to ${role};
    grant execute on function ${names} to ${role};
  `
}

function explained(error: unknown): unknown {
  return isPostgresError(error) && error.code === NOT_OURS ? notOurs(error.message) : error
}

/** Stores the digest of the next key, unless the ledger accepts `key` already. */
async function setKey(
  sql: Sql,
  key: string,
  row: { number: string; digest: string },
): Promise<void> {
  const number = Number(row.number)
  if (row.digest === digestOf(key, number)) return
  await sql`
    update _db_gateway.key
    set number = ${number + 1}, digest = decode(${digestOf(key, number + 1)}, 'hex')
  `
}

function grants(role: string): string {
  const tables = [...TABLES.matchAll(/create table if not exists (\S+)/g)].map(([, name]) => name)
  return `
    grant select on ${tables.join(', ')}, public._db_gateway_seeders to ${role};
    grant usage on schema _db_gateway to ${role};
    grant execute on all functions in schema _db_gateway to ${role};
  `
}

function notOurs(name: string): GatewayError {
  return new GatewayError(
    'name_conflict',
    `${name} has a name that is reserved for the gateway, but belongs to another role`,
  )
}
