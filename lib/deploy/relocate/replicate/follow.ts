import { setTimeout as sleep } from 'node:timers/promises'
import type { Sql } from '../../../postgres/pools/connection.ts'
import type { Owner } from '../../../tenancy/names.ts'
import { InUse } from '../../move/sessions.ts'
import { countRounds, replicationFailed, slotLost } from './errors.ts'
import { linkName } from './link.ts'
import { stalledError, watchWorkers } from './stalled.ts'

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

/** A replication that is waited for. */
interface Replication {
  /** Session of the source's administrative database. */
  admin: Sql
  /** Session in the copy. */
  there: Sql
  id: string
  owner: Owner
  signal: AbortSignal
  onProgress: (followed: Followed) => void
  /** Looks for what the errors of a replication may come from. Throws the error that says it. */
  findCause: () => Promise<void>
}

/**
 * Returns a function that resolves when all tables are copied and the copy is hardly behind. It remembers
 * the errors that PostgreSQL has met when it is called again.
 * @throws {GatewayError} move_refused if replication ends again and again, or does not begin; the signal's
 *   reason
 */
export function follow(replication: Replication): () => Promise<void> {
  const { admin, there, id, owner, signal, onProgress, findCause } = replication
  const isGivenUp = watchErrors()
  return async () => {
    // What the source had then: an error that lasts keeps the copy from confirming it.
    let least: number | undefined
    const isStalled = watchWorkers()
    for (let look = 0; ; look++) {
      signal.throwIfAborted()
      const { isEnabled, applyErrors, copyErrors, isCopying, tables_left, ...copy } =
        await readCopy(there, id)
      const slot = await readSlot(admin, id)
      if (!slot || slot.isLost) throw slotLost(owner)
      if (!isEnabled || isGivenUp({ applyErrors, copyErrors, ...copy, ...slot })) {
        await findCause()
        throw await replicationFailed(there, id, owner)
      }
      const stalled = isStalled({ isCopying, tables_left, ...copy, ...slot })
      if (stalled) throw stalledError(owner, stalled)
      if (copy.tables_copied === copy.tables) least ??= slot.position
      const { position, confirmed } = slot
      const lag = confirmed === null ? null : position - confirmed
      const isNear = least !== undefined && confirmed! >= least && lag! <= MAX_LAG
      if (isNear || look % TELL_EVERY === 0) onProgress({ ...copy, lag_bytes: lag })
      if (isNear) return
      await sleep(LOOK_EVERY_MS)
    }
  }
}

/** Returns a function that is told how far the copy is, and says when its errors are enough. */
function watchErrors() {
  const ofCopying = countRounds()
  const ofApplying = countRounds()
  const seen = { tables: 0, errors: 0, position: 0 }
  return (now: {
    applyErrors: number
    copyErrors: number
    tables_copied: number
    position: number
    confirmed: number | null
  }): boolean => {
    const isCopying = now.tables_copied > seen.tables
    seen.tables = now.tables_copied
    if (now.applyErrors > seen.errors) seen.position = now.position
    seen.errors = now.applyErrors
    const isPast = now.confirmed !== null && now.confirmed >= seen.position
    // Both are told, in any case.
    const enough = [ofCopying(now.copyErrors, isCopying), ofApplying(now.applyErrors, isPast)]
    return enough.includes(true)
  }
}

interface Copy extends Omit<Followed, 'lag_bytes'> {
  isEnabled: boolean
  applyErrors: number
  copyErrors: number
  /** See `Workers`. */
  isCopying: boolean
  tables_left: number
}

async function readCopy(sql: Sql, id: string): Promise<Copy> {
  const [row] = await sql<Copy[]>`
    select s.subenabled as "isEnabled",
      coalesce(max(e.apply_error_count), 0)::float8 as "applyErrors",
      coalesce(max(e.sync_error_count), 0)::float8 as "copyErrors",
      count(r.srrelid)::integer as tables,
      (count(*) filter (where r.srsubstate = 'r'))::integer as tables_copied,
      (count(*) filter (where r.srsubstate not in ('s', 'r')))::integer as tables_left,
      exists (
        select from pg_stat_subscription w
        where w.subname like '\\_db\\_gateway\\_move\\_%' and w.relid is not null and w.pid is not null
      ) as "isCopying",
      pg_database_size(current_database())::float8 as copied_bytes
    from pg_subscription s left join pg_subscription_rel r on r.srsubid = s.oid
      left join pg_stat_subscription_stats e on e.subid = s.oid
    where s.subname = ${linkName(id)} group by s.oid, s.subenabled
  `
  const none = { tables: 0, tables_copied: 0, tables_left: 0, copied_bytes: 0 }
  return row ?? { isEnabled: false, isCopying: false, applyErrors: 0, copyErrors: 0, ...none }
}

/** The slot, with the ends of the source's log and of what the copy has confirmed as numbers of bytes. */
interface Slot {
  position: number
  confirmed: number | null
  isLost: boolean
  /** See `Workers`. */
  isApplying: boolean
}

async function readSlot(sql: Sql, id: string): Promise<Slot | undefined> {
  const [row] = await sql<Slot[]>`
    select pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::float8 as position,
      pg_wal_lsn_diff(confirmed_flush_lsn, '0/0')::float8 as confirmed,
      wal_status is not distinct from 'lost' as "isLost", active_pid is not null as "isApplying"
    from pg_replication_slots where slot_name = ${linkName(id)}
  `
  return row
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
    if (!slot) throw slotLost(owner)
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
