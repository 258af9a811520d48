import { type Files, pack } from '../deploy/clinic.ts'
import type { Rig } from '../rig.ts'

/** The platform whose functions are called. */
export const PLATFORM = 'bench'
export const DATABASE = 'bench_main'

const COLUMNS = 'id integer, name text, price numeric, created_at timestamptz, is_active boolean'

/** What the measured functions declare: nothing, as most platforms' do, and STABLE. */
export const VOLATILITIES = [
  { suffix: '', declared: 'no volatility', clause: '' },
  { suffix: '_stable', declared: 'STABLE', clause: 'stable' },
]

/** A table of so many rows, and the functions that read one of them. */
export function itemFiles(rows: number): Files {
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
      from generate_series(1, ${rows}) i;
      create table notes (item_id integer not null, noted_at timestamptz not null default now());`,
    ...readers('get_item', 'p_id integer', 'id = p_id'),
  }
}

/** A function file for each of the volatilities. */
function readers(name: string, parameter: string, condition: string): Files {
  const file = ({ suffix, clause }: (typeof VOLATILITIES)[number]) => [
    `functions/${name}${suffix}.pssql`,
    `create or replace function ${name}${suffix}(${parameter})
     returns table (${COLUMNS}) language sql ${clause} as $$
       select id, name, price, created_at, is_active from items where ${condition}
     $$;`,
  ]
  return Object.fromEntries(VOLATILITIES.map(file))
}

const FILES: Files = {
  ...itemFiles(100_000),
  ...readers('list_items', 'p_count integer', 'id <= p_count'),
  'functions/add_note.pssql': `
    create or replace function add_note(p_id integer) returns table (id integer) language sql as $$
      insert into notes (item_id) values (p_id) returning item_id
    $$;`,
  'functions/check_item.pssql': `
    create or replace function check_item(p_id integer, out id integer) language plpgsql as $$
    begin
      if p_id < 0 then
        raise exception 'item % is not for sale', p_id;
      end if;
      id := p_id;
    end $$;`,
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

/** Registers the platform: its main database, or a tenant. */
export async function registerPlatform(
  { gatewayUrl }: Pick<Rig, 'gatewayUrl'>,
  files = FILES,
  tenantId?: string,
): Promise<void> {
  const form = new FormData()
  form.set('platform', PLATFORM)
  if (tenantId) form.set('tenant_id', tenantId)
  form.set('schema', new Blob([(await pack(files)) as Uint8Array<ArrayBuffer>]), 'schema.tar.gz')
  const response = await fetch(`${gatewayUrl}/register`, { method: 'POST', body: form })
  if (!response.ok) throw new Error(`/register: ${await response.text()}`)
}
