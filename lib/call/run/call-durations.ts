import type { Schema } from '../signatures/schema.ts'
import type { Signature } from '../signatures/signature.ts'

/** Average duration below which a function may run in a shared session, in microseconds. */
const QUICK_US = 1000

/** Number of consecutive quick calls before a function may run in a shared session. */
const PROBATION = 5

/** Duration of a single call that puts the function on probation again, in microseconds. */
const OUTLIER_US = 20_000

/** Size of an answer that counts as slow, in bytes: its transfer delays the calls behind it. */
const QUICK_BYTES = 64 * 1024

/** Cost of a statement in PostgreSQL apart from the function, in microseconds. */
const OVERHEAD_US = 30

/** Weight of the moving average: the last call counts one part in 16. */
const WEIGHT = 16

/** Number of databases below which nothing is dropped. */
const MIN_SWEPT = 1000

/** Value of a function that must never run in a shared session. */
const WRITES = -1_000_000_000

/**
 * Durations of function calls in PostgreSQL, by database: a function may be quick for one tenant
 * and slow for another. A value is the average in microseconds or, on probation, minus the number
 * of consecutive quick calls. A function takes four bytes in each database that has called
 * functions.
 */
export class CallDurations {
  readonly #byDatabase = new Map<string, { schema: Schema; values: Int32Array }>()
  /** Number of databases above which those without a current cached schema are dropped. */
  #sweepAt = MIN_SWEPT
  readonly #schemaOf: (database: string) => Schema | undefined

  /** Number of databases with recorded durations. */
  get size(): number {
    return this.#byDatabase.size
  }

  /**
   * @param schemaOf returns the cached schema of a database. The durations start anew when it
   *   changes.
   */
  constructor(schemaOf: (database: string) => Schema | undefined) {
    this.#schemaOf = schemaOf
  }

  /**
   * Returns the expected duration of the next call in milliseconds; undefined if the call must not
   * run in a shared session.
   */
  expectedMs(database: string, { index }: Signature): number | undefined {
    const duration = this.#of(database)?.[index] ?? 0
    return duration > 0 && duration < QUICK_US ? duration / 1000 : undefined
  }

  /** Records the duration of a call in milliseconds and the length of its answer in bytes. */
  note(database: string, { index }: Signature, ms: number, bytes = 0): void {
    const durations = this.#of(database)
    if (!durations) return
    const us = bytes > QUICK_BYTES ? OUTLIER_US : Math.round(ms * 1000) + OVERHEAD_US
    durations[index] = next(durations[index] ?? 0, us)
  }

  /** Records a call that exceeded the time limit of a shared session. */
  noteSlow(database: string, signature: Signature): void {
    this.note(database, signature, OUTLIER_US / 1000)
  }

  /**
   * Excludes a function from shared sessions because it writes although its verdict says that it
   * only reads.
   */
  noteWriting(database: string, { index }: Signature): void {
    const durations = this.#of(database)
    if (durations) durations[index] = WRITES
  }

  #of(database: string): Int32Array | undefined {
    const schema = this.#schemaOf(database)
    const durations = this.#byDatabase.get(database)
    if (!schema || durations?.schema === schema) return durations?.values
    const values = new Int32Array(schema.size)
    this.#byDatabase.set(database, { schema, values })
    if (this.#byDatabase.size > this.#sweepAt) this.#sweep()
    return values
  }

  /** Removes databases that were dropped, and those whose schema changed without a call since. */
  #sweep(): void {
    for (const [database, { schema }] of this.#byDatabase) {
      if (this.#schemaOf(database) !== schema) this.#byDatabase.delete(database)
    }
    this.#sweepAt = Math.max(MIN_SWEPT, 2 * this.#byDatabase.size)
  }
}

function next(duration: number, us: number): number {
  if (duration === WRITES) return WRITES
  if (us >= OUTLIER_US) return 0
  if (duration > 0) return Math.round(duration + (us - duration) / WEIGHT)
  if (us >= QUICK_US) return 0
  return -duration + 1 >= PROBATION ? us : duration - 1
}
