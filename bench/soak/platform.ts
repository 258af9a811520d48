import { type Files, pack } from '../lib/deploy/clinic.ts'

/** The platform whose tenants are worked with. */
export const PLATFORM = 'soak'

/** How often a release brings a migration; all bring a function. */
const MIGRATION_EVERY = 4

/** The archive of a release; they count from 1. `version()` tells which one is deployed. */
export function archiveOf(release: number): Promise<Uint8Array> {
  const files: Files = {
    'migrations/001_events.pssql': 'create table events (key text not null);',
    // No unique key: what is written twice has to be seen.
    'functions/write.pssql': `
      create or replace function write(p_key text) returns text language sql as $$
        insert into events values (p_key) returning key
      $$;`,
    'functions/read.pssql': `
      create or replace function read(p_id integer)
      returns table (id integer, name text, price numeric, by_replica boolean)
      language sql stable as $$
        select p_id, 'Item ' || p_id, 12345678901234567890.0123456789, pg_is_in_recovery()
      $$;`,
    'functions/nap.pssql': `
      create or replace function nap(p_seconds double precision) returns text language sql as $$
        select 'slept' from pg_sleep(p_seconds)
      $$;`,
    'functions/big.pssql': `
      create or replace function big(p_rows integer) returns table (chunk text) language sql as $$
        select repeat('x', 1000) from generate_series(1, p_rows)
      $$;`,
    'functions/refuse.pssql': `
      create or replace function refuse() returns void language plpgsql as $$
        begin raise exception 'not today'; end
      $$;`,
    'functions/version.pssql': `
      create or replace function version_of_schema() returns integer language sql as $$
        select ${release}
      $$;`,
  }
  for (let at = MIGRATION_EVERY; at <= release; at += MIGRATION_EVERY) {
    const number = String(1 + at / MIGRATION_EVERY).padStart(3, '0')
    files[`migrations/${number}_column.pssql`] = `alter table events add column at_${at} integer;`
  }
  return pack(files)
}

/** The form of /register and /migrate. */
export function formOf(archive: Uint8Array, tenant?: string, server?: string): FormData {
  const form = new FormData()
  form.set('platform', PLATFORM)
  if (tenant !== undefined) form.set('tenant_id', tenant)
  if (server !== undefined) form.set('server', server)
  form.set('schema', new Blob([archive as Uint8Array<ArrayBuffer>]), 'schema.tar.gz')
  return form
}
