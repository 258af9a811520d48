import type { Pools } from '../postgres/pools/pools.ts'
import type { Query } from '../postgres/session/query.ts'
import { enterMode } from './run/mode.ts'
import { CHANGE_MARK } from './signatures/change-mark.ts'
import type { KnownFunctions } from './signatures/known-functions.ts'
import { SCHEMA_VERSION } from './signatures/version.ts'

/** A statement of its own: its transaction, and its snapshot, end before the version is read. */
const MARK = `select ${CHANGE_MARK}`

/**
 * Checks the schema version of each database periodically while it is called. A change by hand
 * makes no call fail, so no error would reveal it.
 */
export class ChangesByHand {
  readonly #functions: KnownFunctions
  readonly #pools: Pools
  readonly #looking = new Set<string>()

  constructor(functions: KnownFunctions, pools: Pools) {
    this.#functions = functions
    this.#pools = pools
  }

  /** Starts a check in the background if one is due. Call it after each call. */
  noticeCall(database: string): void {
    if (!this.#functions.isDue(database) || this.#looking.has(database)) return
    // Opening a session for the check would cost more than what the next one is asked.
    if (this.#functions.atOpening(database) && !this.#pools.isOpen(database)) return
    this.#looking.add(database)
    this.#look(database)
      // The next call checks again.
      .catch(() => {})
      .finally(() => this.#looking.delete(database))
  }

  async #look(database: string): Promise<void> {
    const lease = await this.#pools.leaseSession(database)
    try {
      const session = await lease.session
      // The exclusive mode has the regular statement_timeout.
      enterMode(lease.connection, session, 'exclusive')
      const ask = (text: string) => firstValue(session.run({ text, values: [] }))
      const mark = await ask(MARK)
      if (mark !== undefined && this.#pools.isFull && this.#isEqual(database, mark)) {
        lease.release()
        return
      }
      const version = await ask(SCHEMA_VERSION)
      lease.release()
      this.#functions.check(database, version!, mark)
    } catch (error) {
      lease.release(error)
      throw error
    }
  }

  /**
   * Returns whether the mark says that the version is the same. Where connections are scarce,
   * sessions are too young to have the catalogs in memory that the version is read from: reading it
   * costs PostgreSQL as much as opening a session, the mark a twentieth.
   */
  #isEqual(database: string, mark: string): boolean {
    if (!this.#functions.atOpening(database)) return false
    this.#functions.compareMark(database, mark)
    return !this.#functions.isDue(database)
  }
}

async function firstValue({ result }: Query): Promise<string | undefined> {
  const { rows } = await result
  return rows[0]![0]?.toString()
}
