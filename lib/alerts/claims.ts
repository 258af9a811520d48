import { createTables } from '../postgres/create-tables.ts'
import type { Sql } from '../postgres/pools/connection.ts'

/** A claim on telling a condition. */
export interface Claim {
  key: string
  /** UUID of the alert: a claim that is made twice is one. */
  alert: string
  /** UUID of the gateway that tells it. */
  gateway: string
  /** Seconds for which nobody else tells a condition that lasts. */
  repeatSeconds: number
}

/** Seconds after the end of a condition in which it is not told anew, so that one that flaps is quiet. */
const FLAP_SECONDS = 60

/** Creates the table of the conditions that were told, if it does not exist. */
export async function prepareClaims(sql: Sql): Promise<void> {
  await createTables(
    sql,
    `
    create table if not exists _db_gateway_alerts (
      key text primary key,
      -- false: the end of the condition was told
      is_open boolean not null,
      alert uuid not null,
      gateway uuid not null,
      told_at timestamptz not null
    )
  `,
  )
}

/**
 * Claims a condition, so that of several gateways one tells it.
 * @returns true if this alert is to be sent
 */
export async function claim(
  sql: Sql,
  { key, alert, gateway, repeatSeconds }: Claim,
): Promise<boolean> {
  const rows = await sql`
    insert into _db_gateway_alerts as a (key, is_open, alert, gateway, told_at)
    values (${key}, true, ${alert}, ${gateway}, clock_timestamp())
    on conflict (key) do update
      set is_open = true, alert = excluded.alert, gateway = excluded.gateway, told_at = excluded.told_at
      where a.alert = excluded.alert
        or a.told_at < clock_timestamp() - make_interval(
          secs => case when a.is_open then ${repeatSeconds}::float8 else ${FLAP_SECONDS}::float8 end
        )
    returning true
  `
  return rows.length > 0
}

/**
 * Claims the end of a condition that was told.
 * @returns true if this alert is to be sent; false if the condition was not told, or its end was
 */
export async function claimEnd(
  sql: Sql,
  { key, alert, gateway }: Omit<Claim, 'repeatSeconds'>,
): Promise<boolean> {
  const rows = await sql`
    update _db_gateway_alerts
    set is_open = false, alert = ${alert}, gateway = ${gateway}, told_at = clock_timestamp()
    where key = ${key} and (is_open or alert = ${alert})
    returning true
  `
  return rows.length > 0
}

/** Deletes conditions that nobody has told for 30 days. */
export async function forgetOldClaims(sql: Sql): Promise<void> {
  await sql`delete from _db_gateway_alerts where told_at < now() - interval '30 days'`
}
