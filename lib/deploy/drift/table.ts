import { createTables } from '../../postgres/create-tables.ts'
import type { Sql } from '../../postgres/pools/connection.ts'

/** Creates the table of the last look for drift of each platform, if it does not exist. */
export async function prepareDrift(sql: Sql): Promise<void> {
  await createTables(
    sql,
    `
    create table if not exists _db_gateway_drift (
      platform text primary key,
      looked_at timestamptz not null,
      -- names of the databases that differed
      databases jsonb not null
    )
  `,
  )
}

/**
 * Records which databases of a platform differ from a reference of their own archive, in place of
 * the last look. One that differs from another archive's reference is behind, or ahead.
 */
export async function recordDrift(
  sql: Sql,
  platform: string,
  groups: { reference_checksum: string | null; databases: string[] }[],
): Promise<void> {
  const given = groups.map((one) => ({ checksum: one.reference_checksum, names: one.databases }))
  await sql`
    with named as (
      select g.checksum, e.name
      from jsonb_to_recordset(${JSON.stringify(given)}::text::jsonb)
        as g (checksum text, names jsonb)
      cross join lateral jsonb_array_elements_text(g.names) as e (name)
    )
    insert into _db_gateway_drift (platform, looked_at, databases)
    select ${platform}, now(), coalesce(jsonb_agg(c.database), '[]')
    from named n
    join _db_gateway_databases c
      on c.database = n.name and c.schema_checksum is not distinct from n.checksum
    on conflict (platform) do update
      set looked_at = excluded.looked_at, databases = excluded.databases
  `
}
