import type { GatewayError } from '../../../errors.ts'
import type { Sql } from '../../../postgres/pools/connection.ts'
import type { Owner } from '../../../tenancy/names.ts'
import { moveRefused } from '../check.ts'
import { linkName } from './link.ts'

/**
 * How many times PostgreSQL may have met errors without going on. It begins again by itself after 5 s
 * (wal_retrieve_retry_interval): it may have been short of something for a moment, such as of
 * max_replication_slots, of which each table that is copied takes one on the target too (origin.c).
 */
const MAX_ROUNDS = 4

/** Errors that come within this time are of one round. */
const ROUND_MS = 4000

/** Tables that an error names. */
const MAX_NAMED = 5

/** Returns a function that is told the errors so far, and whether it has gone on since, and says when it is enough. */
export function countRounds(): (errors: number, hasGoneOn: boolean) => boolean {
  const seen = { errors: 0, rounds: 0, at: Number.NEGATIVE_INFINITY }
  return (errors, hasGoneOn) => {
    if (hasGoneOn) seen.rounds = 0
    const now = performance.now()
    if (errors > seen.errors && now - seen.at > ROUND_MS) {
      seen.rounds++
      seen.at = now
    }
    seen.errors = errors
    return seen.rounds > MAX_ROUNDS
  }
}

/** Returns the error of a slot that does not have what the copy needs. */
export function slotLost(owner: Owner): GatewayError {
  return moveRefused(
    owner,
    'its replication slot is gone, or has lost what the copy needs',
    'Raise max_slot_wal_keep_size on the source, and send the request again',
  )
}

/**
 * Returns the error of a replication that ends again and again, with what the target tells of it. Why is
 * in its log alone.
 * @param there session in the copy
 */
export async function replicationFailed(
  there: Sql,
  id: string,
  owner: Owner,
): Promise<GatewayError> {
  const [seen] = await there<
    { apply_errors: number; copy_errors: number; conflicts: Record<string, number> }[]
  >`
    select apply_error_count::float8 as apply_errors, sync_error_count::float8 as copy_errors,
      -- from PostgreSQL 18 on
      (select coalesce(json_object_agg(substr(key, 7), value), '{}')
       from jsonb_each(to_jsonb(st)) where key ~ '^confl_' and value <> '0') as conflicts
    from pg_stat_subscription_stats st where subname = ${linkName(id)}
  `
  const tables = await there<{ name: string }[]>`
    select srrelid::regclass::text as name
    from pg_subscription_rel r join pg_subscription s on s.oid = r.srsubid
    where s.subname = ${linkName(id)} and srsubstate not in ('r', 's')
    order by 1 limit ${MAX_NAMED}
  `
  const names = tables.map(({ name }) => name)
  const kinds = Object.entries(seen?.conflicts ?? {}).map(([kind, times]) => `${times} ${kind}`)
  const what =
    names.length > 0
      ? `the other server could not copy ${names.join(', ')}`
      : 'the other server could not apply a change'
  const told = kinds.length > 0 ? ` (conflicts: ${kinds.join(', ')})` : ''
  const error = moveRefused(
    owner,
    `${what}${told}, as its log says`,
    names.length > 0
      ? 'Mend that (it may be max_replication_slots of the other server, of which each table takes one while it is copied), or move it with "how": "dump"'
      : 'Its log names the table and the row. Nobody may write to the copy on the other server, or lock its tables. Send the request again, or move it with "how": "dump"',
  )
  Object.assign(error.details, { ...seen, ...(names.length > 0 && { not_copied: names }) })
  return error
}
