import { addPacked, BUCKETS, packCounts } from './histogram.ts'

/** A call that has ended. */
export interface EndedCall {
  /** Milliseconds from its begin to its answer. */
  ms: number
  /** Milliseconds for which sessions were held for it. */
  heldMs: number
  rows: number
  bytes: number
  isError: boolean
}

/** Whose calls a tally has. */
export interface TallyKey {
  platform: string
  /** Null: of all databases of the platform. */
  database: string | null
  function: string
}

/** Returns what tells a function from others. */
export function keyOf({ platform, database, function: name }: TallyKey): string {
  return JSON.stringify([platform, database, name])
}

/** Sums of calls, with the packed counts of their durations. */
export interface TallySums {
  calls: number
  errors: number
  heldMs: number
  sumMs: number
  maxMs: number
  rows: number
  bytes: number
  packed: Uint8Array
}

/** What a tally has counted, to be written or read. */
export type TallyRow = TallyKey & TallySums

/** Calls of a function, with a histogram of their durations. */
export class Tally {
  calls = 0
  errors = 0
  heldMs = 0
  sumMs = 0
  maxMs = 0
  rows = 0
  bytes = 0
  readonly counts = new Float64Array(BUCKETS)

  /** Adds a call whose duration is in this bucket. */
  add(bucket: number, { ms, heldMs, rows, bytes, isError }: EndedCall): void {
    this.calls++
    if (isError) this.errors++
    this.heldMs += heldMs
    this.sumMs += ms
    if (ms > this.maxMs) this.maxMs = ms
    this.rows += rows
    this.bytes += bytes
    this.counts[bucket]!++
  }

  /** Adds sums that were packed. */
  addSums(sums: TallySums): void {
    this.#addNumbers(sums)
    addPacked(this.counts, sums.packed)
  }

  /** Adds what another tally has. */
  addTally(other: Tally): void {
    this.#addNumbers(other)
    for (let i = 0; i < BUCKETS; i++) this.counts[i]! += other.counts[i]!
  }

  /** Returns the sums, packed. */
  pack(): TallySums {
    const { calls, errors, heldMs, sumMs, maxMs, rows, bytes } = this
    return { calls, errors, heldMs, sumMs, maxMs, rows, bytes, packed: packCounts(this.counts) }
  }

  clear(): void {
    this.calls = 0
    this.errors = 0
    this.heldMs = 0
    this.sumMs = 0
    this.maxMs = 0
    this.rows = 0
    this.bytes = 0
    this.counts.fill(0)
  }

  #addNumbers(other: Omit<TallySums, 'packed'>): void {
    this.calls += other.calls
    this.errors += other.errors
    this.heldMs += other.heldMs
    this.sumMs += other.sumMs
    this.maxMs = Math.max(this.maxMs, other.maxMs)
    this.rows += other.rows
    this.bytes += other.bytes
  }
}
