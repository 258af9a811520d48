/**
 * Locks that all transactions together can hold. A deploy that creates a table with a key, a sequence,
 * a reference and two indexes holds about ten for it until it commits: enough for 8 deploys of 300
 * such tables at once, twice over. Each takes some 300 bytes of shared memory.
 */
const ALL_LOCKS = 8 * 300 * 10 * 2

const DEFAULT_LOCKS_PER_TRANSACTION = 64

/**
 * The size of PostgreSQL's lock table, which it has for max_locks_per_transaction times
 * max_connections (PostgreSQL manual, "Lock Management").
 */
export function lockSettings(maxConnections: number): Record<string, string> {
  const perTransaction = Math.ceil(ALL_LOCKS / maxConnections)
  return {
    max_locks_per_transaction: `${Math.max(DEFAULT_LOCKS_PER_TRANSACTION, perTransaction)}`,
  }
}
