/** Position of the WAL, in bytes, at a moment of `performance.now()`. */
interface Mark {
  at: number
  written: bigint
}

/**
 * The primary's WAL positions over time. From a replica's replay position it tells how old the
 * replica's data is: on the gateway's clock alone, and without writing to the primary.
 */
export class WalHistory {
  readonly #keepMs: number
  /** Oldest first. */
  readonly #marks: Mark[] = []
  #since: number | undefined

  /** `keepMs`: how long positions are kept. */
  constructor(keepMs: number) {
    this.#keepMs = keepMs
  }

  /** Records that everything written before the moment `at` ends at the position `written`. */
  note(at: number, written: bigint): void {
    this.#since ??= at
    const last = this.#marks.at(-1)
    if (last?.written === written) last.at = at
    else this.#marks.push({ at, written })
    while (this.#marks[0]!.at < at - this.#keepMs) this.#marks.shift()
  }

  /**
   * Returns the latest moment whose WAL is contained in `replayed`; undefined where that is older
   * than all recorded positions.
   */
  currentAt(replayed: bigint): number | undefined {
    return this.#marks.findLast(({ written }) => written <= replayed)?.at
  }

  /** Drops all positions; called when the timeline changes. */
  clear(): void {
    this.#marks.length = 0
    this.#since = undefined
  }

  /** The moment of the first record. */
  get since(): number | undefined {
    return this.#since
  }
}

/**
 * Sizes of WAL page headers in bytes: the first page of a segment has a long one (PostgreSQL
 * source, xlog_internal.h: SizeOfXLogLongPHD, SizeOfXLogShortPHD).
 */
const LONG_HEADER = 40n
const SHORT_HEADER = 24n

/**
 * Returns the end of the last WAL record from the insert position. They differ only at the start of
 * a page: the insert position is behind the page header, while a replica that has everything has
 * replayed up to the page. An idle primary may stay there for long, such as after pg_switch_wal().
 */
export function endOfWal(inserted: bigint, block: number, segment: number): bigint {
  const inPage = inserted % BigInt(block)
  const isFirst = inserted % BigInt(segment) < BigInt(block)
  return inPage === (isFirst ? LONG_HEADER : SHORT_HEADER) ? inserted - inPage : inserted
}
