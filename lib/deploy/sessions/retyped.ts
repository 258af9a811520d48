import type { Table } from '../changes/tables.ts'
import type { Job } from '../job.ts'

/** What sessions for calls have planned with, and what keeps new ones from being opened. */
export class ServedTables {
  /** As of the last commit. */
  #tables: Table[]
  /** To be called behind the next commit. */
  #reopen: (() => void) | undefined

  constructor(tables: Table[]) {
    this.#tables = tables
  }

  /** To be called right before a commit. `retire` ends the sessions; see Job. */
  async retire(now: Table[], retire: Job['retire'] | undefined): Promise<void> {
    if (retire && isAnyRetyped(this.#tables, now)) this.#reopen = await retire()
  }

  /** To be called right behind a commit: the next one is compared with this one. */
  move(now: Table[]): void {
    this.#tables = now
    this.#reopen?.()
    this.#reopen = undefined
  }
}

/**
 * Whether a table or a composite type that stayed has a column of another type, precision or collation, or has lost one: what
 * sessions have planned with its row type must not be used any more.
 */
function isAnyRetyped(before: Table[], after: Table[]): boolean {
  const current = new Map(after.map(({ oid, types }) => [oid, types]))
  return before.some(({ oid, types }) => {
    const now = current.get(oid)
    return now && Object.keys(types).some((number) => types[number] !== now[number])
  })
}
