import { pack } from './clinic.ts'
import type { Rig } from './rig.ts'

/** The platform whose functions are called. */
export const PLATFORM = 'bench'
export const DATABASE = 'bench_main'

const COLUMNS = 'id integer, name text, price numeric, created_at timestamptz, is_active boolean'

/** A table of so many rows, and the function that reads one of them. */
export function itemFiles(rows: number): Record<string, string> {
  return {
    'migrations/001_items.pssql': `
      create table items (
        id integer primary key,
        name text not null,
        price numeric(12, 2) not null,
        created_at timestamptz not null,
        is_active boolean not null
      );
      insert into items
      select i, 'Item number ' || i, i * 1.25, '2026-01-01'::timestamptz + i * interval '1 minute', i % 3 > 0
      from generate_series(1, ${rows}) i;`,
    'functions/get_item.pssql': `
      create or replace function get_item(p_id integer)
      returns table (${COLUMNS}) language sql stable as $$
        select id, name, price, created_at, is_active from items where id = p_id
      $$;`,
  }
}

const FILES = {
  ...itemFiles(100_000),
  'functions/list_items.pssql': `
    create or replace function list_items(p_count integer)
    returns table (${COLUMNS}) language sql stable as $$
      select id, name, price, created_at, is_active from items where id <= p_count
    $$;`,
  'functions/wait_for.pssql': `
    create or replace function wait_for(p_seconds double precision)
    returns table (id integer) language sql as $$
      select 1 from pg_sleep(p_seconds)
    $$;`,
  'functions/big_result.pssql': `
    create or replace function big_result(p_megabytes integer)
    returns table (chunk text) language sql as $$
      select repeat('x', 1000000) from generate_series(1, p_megabytes)
    $$;`,
}

/** Registers the platform. */
export async function registerPlatform(rig: Rig): Promise<void> {
  const form = new FormData()
  form.set('platform', PLATFORM)
  form.set('schema', new Blob([(await pack(FILES)) as Uint8Array<ArrayBuffer>]), 'schema.tar.gz')
  const response = await fetch(`${rig.gatewayUrl}/register`, { method: 'POST', body: form })
  if (!response.ok) throw new Error(`/register: ${await response.text()}`)
}
