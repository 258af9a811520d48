/** How much WAL had been written by a moment of `performance.now()`. */
interface Mark {
  at: number
  written: bigint
}

/**
 * How far a server's WAL was, and when: it tells by what a replica has replayed how old that is, on
 * one clock and without any change that is made for it.
 */
export class WalHistory {
  readonly #keepMs: number
  /** In the order of time. */
  readonly #marks: Mark[] = []
  #since: number | undefined

  /** `keepMs`: how far back it goes. */
  constructor(keepMs: number) {
    this.#keepMs = keepMs
  }

  /** Notes that all that was written by the moment `at` ends at the position `written`. */
  note(at: number, written: bigint): void {
    this.#since ??= at
    const last = this.#marks.at(-1)
    if (last?.written === written) last.at = at
    else this.#marks.push({ at, written })
    while (this.#marks[0]!.at < at - this.#keepMs) this.#marks.shift()
  }

  /**
   * The newest moment of which everything is in the WAL up to `replayed`; undefined where that is
   * before all that is known.
   */
  currentAt(replayed: bigint): number | undefined {
    return this.#marks.findLast(({ written }) => written <= replayed)?.at
  }

  /** Forgets all: another timeline begins. */
  clear(): void {
    this.#marks.length = 0
    this.#since = undefined
  }

  /** The moment of the first note. */
  get since(): number | undefined {
    return this.#since
  }
}

/**
 * Bytes of the headers of WAL pages: of the first one of a segment, and of the others
 * (SizeOfXLogLongPHD and SizeOfXLogShortPHD in PostgreSQL's xlog_internal.h).
 */
const LONG_HEADER = 40n
const SHORT_HEADER = 24n

/**
 * The end of the last WAL record, of the position where the next one begins. They are the same but
 * where the next one begins a page: it comes behind the page's header, and a replica that has
 * everything has replayed up to the page. A primary that is idle may stay there for long, such as
 * after pg_switch_wal().
 */
export function endOfWal(inserted: bigint, block: number, segment: number): bigint {
  const inPage = inserted % BigInt(block)
  const isFirst = inserted % BigInt(segment) < BigInt(block)
  return inPage === (isFirst ? LONG_HEADER : SHORT_HEADER) ? inserted - inPage : inserted
}
