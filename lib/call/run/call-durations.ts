import type { Schema } from '../signatures/schema.ts'
import type { Signature } from '../signatures/signature.ts'

/** A function that is quicker than this on average may share a session. Microseconds. */
const QUICK_US = 1000

/** So many calls in a row have to be quick before the next may share. */
const PROBATION = 5

/** After one call that takes so long, the function is on probation again. Microseconds. */
const OUTLIER_US = 20_000

/** An answer of more bytes takes too long on its way for the calls behind it. */
const QUICK_BYTES = 64 * 1024

/** What a statement costs PostgreSQL beside the function itself. Microseconds. */
const OVERHEAD_US = 30

/** How much the last call counts in the average: one part in so many. */
const WEIGHT = 16

/** Of fewer databases, all stay noted. */
const MIN_SWEPT = 1000

/** The value of a function that is never to share. */
const WRITES = -1_000_000_000

/**
 * How long the calls of functions take in PostgreSQL, by database: one function may be quick for
 * one tenant and slow for another. A value is the average in microseconds, or, on probation, minus
 * the number of quick calls in a row: four bytes for a function, whatever the number of tenants.
 */
export class CallDurations {
  readonly #byDatabase = new Map<string, { schema: Schema; values: Int32Array }>()
  /** With more databases than this, those are forgotten whose schema is not known any more. */
  #sweepAt = MIN_SWEPT
  readonly #schemaOf: (database: string) => Schema | undefined

  /** Of so many databases something is noted. */
  get size(): number {
    return this.#byDatabase.size
  }

  /** `schemaOf`: what is known of a database. With another schema its functions begin anew. */
  constructor(schemaOf: (database: string) => Schema | undefined) {
    this.#schemaOf = schemaOf
  }

  /** Milliseconds that the next call is expected to take; undefined where it must not share. */
  expectedMs(database: string, { index }: Signature): number | undefined {
    const duration = this.#of(database)?.[index] ?? 0
    return duration > 0 && duration < QUICK_US ? duration / 1000 : undefined
  }

  /** Takes note of what a call took, and of the length of its answer. */
  note(database: string, { index }: Signature, ms: number, bytes = 0): void {
    const durations = this.#of(database)
    if (!durations) return
    const us = bytes > QUICK_BYTES ? OUTLIER_US : Math.round(ms * 1000) + OVERHEAD_US
    durations[index] = next(durations[index] ?? 0, us)
  }

  /** Takes note of a call that took too long for a shared session. */
  noteSlow(database: string, signature: Signature): void {
    this.note(database, signature, OUTLIER_US / 1000)
  }

  /** Takes note of a function that writes although its verdict says that it only reads. */
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

  /** Databases are dropped, and schemas replaced in those that nobody calls. */
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
