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
 * Resolves when all tables are copied and the copy is hardly behind.
 * @param admin session of the source's administrative database
 * @param there session in the copy
 * @throws {GatewayError} move_refused if replication ends; the signal's reason
 */
export async function untilCopied(
  admin: Sql,
  there: Sql,
  { id, owner }: { id: string; owner: Owner },
  signal: AbortSignal,
  onProgress: (followed: Followed) => void,
): Promise<void> {
  for (let look = 0; ; look++) {
    signal.throwIfAborted()
    const { isEnabled, ...copy } = await readCopy(there, id)
    const { lag, isLost } = await readSlot(admin, id)
    if (!isEnabled || isLost) throw ended(owner, isLost)
    const isCopied = copy.tables_copied === copy.tables
    const isNear = isCopied && lag !== null && lag <= MAX_LAG
    if (isNear || look % TELL_EVERY === 0) onProgress({ ...copy, lag_bytes: lag })
    if (isNear) return
    await sleep(LOOK_EVERY_MS)
  }
}

async function readCopy(sql: Sql, id: string) {
  const [row] = await sql<
    { isEnabled: boolean; tables: number; tables_copied: number; copied_bytes: number }[]
  >`
    select s.subenabled as "isEnabled", count(r.srrelid)::integer as tables,
      (count(*) filter (where r.srsubstate = 'r'))::integer as tables_copied,
      pg_database_size(current_database())::float8 as copied_bytes
    from pg_subscription s left join pg_subscription_rel r on r.srsubid = s.oid
    where s.subname = ${linkName(id)} group by s.oid, s.subenabled
  `
  return row ?? { isEnabled: false, tables: 0, tables_copied: 0, copied_bytes: 0 }
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
        'Mend that, or move it with "how": "dump"',
      )
}
