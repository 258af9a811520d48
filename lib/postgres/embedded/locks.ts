/**
 * Locks that all transactions together can hold: 8 deploys at once, of 300 new tables each, times
 * two. A deploy holds about ten locks until it commits for a table with a key, a sequence, a
 * reference and two indexes. A lock takes about 300 bytes of shared memory.
 */
const ALL_LOCKS = 8 * 300 * 10 * 2

const DEFAULT_LOCKS_PER_TRANSACTION = 64

/**
 * Returns the setting that gives the lock table this size. PostgreSQL sizes the table as
 * max_locks_per_transaction times max_connections (PostgreSQL manual, "Lock Management").
 */
export function lockSettings(maxConnections: number): Record<string, string> {
  const perTransaction = Math.ceil(ALL_LOCKS / maxConnections)
  return {
    max_locks_per_transaction: `${Math.max(DEFAULT_LOCKS_PER_TRANSACTION, perTransaction)}`,
  }
}
