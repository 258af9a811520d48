import type { GatewayError } from '../../../errors.ts'
import type { Owner } from '../../../tenancy/names.ts'
import { moveRefused } from '../check.ts'

/**
 * Milliseconds for which nothing of a replication may work. PostgreSQL starts a worker that has ended again
 * after 5 s (wal_retrieve_retry_interval), and counts no error where none can be started, or where it does
 * not connect.
 */
const STALLED_MS = 60_000

/** What is seen of the workers of a replication. */
export interface Workers {
  /** Whether a worker of the target receives changes: its session uses the slot. */
  isApplying: boolean
  /** Whether a worker of the target copies a table, of this move or of another one that has them all. */
  isCopying: boolean
  /** Tables whose first copy a worker has yet to begin or to end. */
  tables_left: number
  tables_copied: number
  /** End of what the copy has confirmed, in bytes of the source's log; null before. */
  confirmed: number | null
}

/** What does not work. */
export type Stalled = 'changes' | 'tables'

/** Returns a function that is told what is seen now, and says what has not worked for `limitMs`. */
export function watchWorkers(limitMs = STALLED_MS): (now: Workers) => Stalled | undefined {
  const began = performance.now()
  const at = { changes: began, tables: began }
  let seen: Workers | undefined
  return (workers) => {
    const now = performance.now()
    const hasConfirmed = workers.confirmed !== seen?.confirmed
    const hasCopied = workers.tables_copied !== seen?.tables_copied
    seen = workers
    if (workers.isApplying || hasConfirmed) at.changes = now
    if (workers.isCopying || hasCopied || workers.tables_left === 0) at.tables = now
    // A worker that receives changes starts those that copy tables.
    if (now - at.changes >= limitMs) return 'changes'
    return now - at.tables >= limitMs ? 'tables' : undefined
  }
}

/** Returns the error of a replication that does not work. */
export function stalledError(owner: Owner, stalled: Stalled): GatewayError {
  const forSeconds = `for ${STALLED_MS / 1000} s`
  const free =
    'max_worker_processes and max_logical_replication_workers of the other server have to leave workers free'
  if (stalled === 'tables')
    return moveRefused(
      owner,
      `the other server has had no worker that copies a table ${forSeconds}`,
      `Its log says why: ${free}, and max_sync_workers_per_subscription must not be 0`,
    )
  return moveRefused(
    owner,
    `the other server has had no worker that receives changes ${forSeconds}`,
    `Its log says why: ${free}, and max_wal_senders, max_connections and pg_hba.conf of the source have to admit one`,
  )
}
