import type { DatabaseCopy } from '../../config/values.ts'

/**
 * Bytes a second before any copy was measured; less than most servers achieve. `wal_log` writes the
 * database twice.
 */
const FIRST_RATES: Record<DatabaseCopy, number> = { wal_log: 50e6, file_copy: 100e6 }

/** Milliseconds of each copy that do not depend on the size, such as for checkpoints. */
const FIXED_MS = 300

/** Copies of fewer bytes tell nothing of the rate. */
const MIN_MEASURED = 64e6

/** Estimates how long PostgreSQL copies a database, by the copies that this process has seen. */
export class CopyTime {
  #rate: number

  constructor(strategy: DatabaseCopy) {
    this.#rate = FIRST_RATES[strategy]
  }

  /** Returns the milliseconds that a copy of so many bytes takes. */
  estimate(bytes: number): number {
    return FIXED_MS + (1000 * bytes) / this.#rate
  }

  /** Records a copy. The estimate follows the slowest of late: its rate rises by a fifth at most. */
  note(bytes: number, ms: number): void {
    if (bytes < MIN_MEASURED) return
    const rate = (1000 * bytes) / Math.max(1, ms - FIXED_MS)
    this.#rate = Math.min(rate, 1.2 * this.#rate)
  }
}
