import { isRefusal } from '../postgres/errors.ts'
import type { Pools } from '../postgres/pools/pools.ts'
import type { Query } from '../postgres/session/query.ts'
import { enterMode } from './run/mode.ts'
import { CHANGE_MARK } from './signatures/change-mark.ts'
import type { KnownFunctions } from './signatures/known-functions.ts'
import { SCHEMA_VERSION } from './signatures/version.ts'

/** A statement of its own: its transaction, and its snapshot, end before the version is read. */
const MARK = `select ${CHANGE_MARK}`

/** Milliseconds since the last comparison after which a session is opened for the next one. */
const OVERDUE_MS = 15_000

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
    if (this.#mayWait(database)) return
    this.#looking.add(database)
    this.#look(database)
      // The next call checks again.
      .catch(() => {})
      .finally(() => this.#looking.delete(database))
  }

  /**
   * Returns whether the next session that opens compares the mark: opening one for the check costs
   * more. Calls on replicas open none, so it does not wait for long.
   */
  #mayWait(database: string): boolean {
    if (this.#functions.isDue(database, OVERDUE_MS)) return false
    return this.#functions.atOpening(database) !== undefined && !this.#pools.isOpen(database)
  }

  async #look(database: string): Promise<void> {
    const lease = await this.#pools.leaseSession(database)
    try {
      const session = await lease.session
      // The exclusive mode has the regular statement_timeout.
      enterMode(lease.connection, session, 'exclusive')
      const ask = (text: string) => firstValue(session.run({ text, values: [] }))
      const mark = await ask(MARK).catch(noneIfRefused)
      if (mark !== undefined && this.#pools.isFull && this.#isEqual(database, mark)) {
        lease.release()
        return
      }
      const version = await ask(SCHEMA_VERSION)
      lease.release()
      this.#functions.check(database, version!, mark ?? null)
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

/** The role may not use a function of the mark. */
function noneIfRefused(error: unknown): undefined {
  if (!isRefusal(error)) throw error
}

async function firstValue({ result }: Query): Promise<string | undefined> {
  const { rows } = await result
  return rows[0]![0]?.toString()
}
