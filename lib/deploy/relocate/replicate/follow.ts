import { setTimeout as sleep } from 'node:timers/promises'
import type { GatewayError } from '../../../errors.ts'
import type { Sql } from '../../../postgres/pools/connection.ts'
import type { Owner } from '../../../tenancy/names.ts'
import { InUse } from '../../move/sessions.ts'
import { moveRefused } from '../check.ts'
import { linkName } from './link.ts'

/** How far the copy of a replicated database is. */
export interface Followed {
  tables: number
  /** Tables whose first copy is complete. */
  tables_copied: number
  /** Size of the copy, in bytes. */
  copied_bytes: number
  /** Bytes of the source's log that the copy has not confirmed; null before it has begun. */
  lag_bytes: number | null
}

/** How far the copy may be behind the source when calls begin to be held, in bytes of its log. */
const MAX_LAG = 1_000_000

const LOOK_EVERY_MS = 200

/** Time between two looks at the end, while calls wait. */
const LOOK_SOON_MS = 10

/** Looks until progress is told again. */
const TELL_EVERY = 5

/**
 * How many times PostgreSQL may have met errors without a further table copied. It begins again by itself
 * after 5 s (wal_retrieve_retry_interval): it may have been short of something for a moment, such as of
 * max_replication_slots, of which each table that is copied takes one on the target too (origin.c).
 */
const MAX_ERROR_ROUNDS = 4

/** Errors that come within this time are of one round. */
const ROUND_MS = 4000

/**
 * Resolves when all tables are copied and the copy is hardly behind.
 * @param admin session of the source's administrative database
 * @param there session in the copy
 * @throws {GatewayError} move_refused if replication ends again and again; the signal's reason
 */
export async function untilCopied(
  admin: Sql,
  there: Sql,
  { id, owner }: { id: string; owner: Owner },
  signal: AbortSignal,
  onProgress: (followed: Followed) => void,
): Promise<void> {
  const isGivenUp = countErrorRounds()
  for (let look = 0; ; look++) {
    signal.throwIfAborted()
    const { isEnabled, errors, ...copy } = await readCopy(there, id)
    const { lag, isLost } = await readSlot(admin, id)
    if (!isEnabled || isLost) throw ended(owner, isLost)
    if (isGivenUp(errors, copy.tables_copied)) throw ended(owner, false)
    const isCopied = copy.tables_copied === copy.tables
    const isNear = isCopied && lag !== null && lag <= MAX_LAG
    if (isNear || look % TELL_EVERY === 0) onProgress({ ...copy, lag_bytes: lag })
    if (isNear) return
    await sleep(LOOK_EVERY_MS)
  }
}

/** Returns a function that is told the errors and the copied tables so far, and says when it is enough. */
function countErrorRounds(): (errors: number, copied: number) => boolean {
  const seen = { errors: 0, copied: 0, rounds: 0, at: Number.NEGATIVE_INFINITY }
  return (errors, copied) => {
    if (copied > seen.copied) seen.rounds = 0
    seen.copied = copied
    const now = performance.now()
    if (errors > seen.errors && now - seen.at > ROUND_MS) {
      seen.rounds++
      seen.at = now
    }
    seen.errors = errors
    return seen.rounds > MAX_ERROR_ROUNDS
  }
}

async function readCopy(sql: Sql, id: string) {
  const [row] = await sql<
    {
      isEnabled: boolean
      errors: number
      tables: number
      tables_copied: number
      copied_bytes: number
    }[]
  >`
    select s.subenabled as "isEnabled",
      coalesce(
        (select apply_error_count + sync_error_count from pg_stat_subscription_stats
         where subid = s.oid), 0
      )::float8 as errors,
      count(r.srrelid)::integer as tables,
      (count(*) filter (where r.srsubstate = 'r'))::integer as tables_copied,
      pg_database_size(current_database())::float8 as copied_bytes
    from pg_subscription s left join pg_subscription_rel r on r.srsubid = s.oid
    where s.subname = ${linkName(id)} group by s.oid, s.subenabled
  `
  return row ?? { isEnabled: false, errors: 0, tables: 0, tables_copied: 0, copied_bytes: 0 }
}

async function readSlot(sql: Sql, id: string): Promise<{ lag: number | null; isLost: boolean }> {
  const [row] = await sql<{ lag: number | null; isLost: boolean }[]>`
    select pg_wal_lsn_diff(pg_current_wal_flush_lsn(), confirmed_flush_lsn)::float8 as lag,
      wal_status is not distinct from 'lost' as "isLost"
    from pg_replication_slots where slot_name = ${linkName(id)}
  `
  return row ?? { lag: null, isLost: true }
}

/**
 * Resolves when the copy has all that was committed on the source before.
 * @param admin session of the source's administrative database
 * @param endsAt `performance.now()` until which it may take
 * @throws {InUse} if it takes longer
 */
export async function untilConfirmed(
  admin: Sql,
  { id, owner, database }: { id: string; owner: Owner; database: string },
  endsAt: number,
  signal: AbortSignal,
): Promise<void> {
  // Its commit has PostgreSQL write what other transactions committed asynchronously.
  await admin`select pg_logical_emit_message(true, '_db_gateway', '')`
  const [at] = await admin<{ lsn: string }[]>`select pg_current_wal_flush_lsn()::text as lsn`
  for (;;) {
    signal.throwIfAborted()
    const [slot] = await admin<{ is_confirmed: boolean }[]>`
      select confirmed_flush_lsn >= ${at!.lsn}::pg_lsn as is_confirmed
      from pg_replication_slots where slot_name = ${linkName(id)}
    `
    if (!slot) throw ended(owner, true)
    if (slot.is_confirmed) return
    if (performance.now() > endsAt) {
      throw new InUse('tenant_busy', `The copy of ${database} has not caught up in time`, {
        database,
        hint: 'Send the request again when the servers have less to do',
      })
    }
    await sleep(LOOK_SOON_MS)
  }
}

/**
 * Checks that the slot has nothing that the copy lacks. Nobody may be connected to the database.
 * @param sql session in the source
 * @throws {InUse} tenant_busy
 */
export async function checkDrained(
  sql: Sql,
  { id, database }: { id: string; database: string },
): Promise<void> {
  const name = linkName(id)
  // A transaction without a change of these tables has its begin (B) and its commit (C) alone.
  const [left] = await sql<{ changes: number }[]>`
    select count(*)::integer as changes
    from pg_logical_slot_peek_binary_changes(
      ${name}, null, null, 'proto_version', '1', 'publication_names', ${name}
    ) where get_byte(data, 0) not in (66, 67)
  `
  if (left!.changes === 0) return
  throw new InUse(
    'tenant_busy',
    `A session has written to ${database} while it was moved; the tenant stays where it is`,
    { database, hint: 'Send the request again' },
  )
}

function ended(owner: Owner, isLost: boolean): GatewayError {
  return isLost
    ? moveRefused(
        owner,
        'its replication slot is gone, or has lost what the copy needs',
        'Raise max_slot_wal_keep_size on the source, and send the request again',
      )
    : moveRefused(
        owner,
        'the other server could not copy or apply a change, as its log says',
        'Mend that (it may be max_replication_slots of the other server, of which each table takes one while it is copied), or move it with "how": "dump"',
      )
}
