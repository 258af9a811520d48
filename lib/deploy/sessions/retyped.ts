import type { Table } from '../changes/tables.ts'
import type { Job } from '../job.ts'

/**
 * The tables that call sessions may have planned with, and the function that lets new sessions open
 * again.
 */
export class ServedTables {
  /** Tables as of the last commit. */
  #tables: Table[]
  /** Called after the next commit. */
  #reopen: (() => void) | undefined

  constructor(tables: Table[]) {
    this.#tables = tables
  }

  /**
   * Ends the call sessions if a column's type has changed since the last commit. Must be called
   * right before a commit.
   * @param retire see `Job.retire`
   */
  async retire(now: Table[], retire: Job['retire'] | undefined): Promise<void> {
    if (retire && isAnyRetyped(this.#tables, now)) this.#reopen = await retire()
  }

  /**
   * Lets call sessions open again, and takes the tables to compare with at the next commit. Must be
   * called right after a commit.
   */
  move(now: Table[]): void {
    this.#tables = now
    this.#reopen?.()
    this.#reopen = undefined
  }
}

/**
 * Whether a table or composite type that still exists has lost a column, or has a column of another
 * type, precision or collation. Cached plans that use its row type are invalid then.
 */
function isAnyRetyped(before: Table[], after: Table[]): boolean {
  const current = new Map(after.map(({ oid, types }) => [oid, types]))
  return before.some(({ oid, types }) => {
    const now = current.get(oid)
    return now && Object.keys(types).some((number) => types[number] !== now[number])
  })
}
