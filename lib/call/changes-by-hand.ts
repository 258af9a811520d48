import type { Pools } from '../postgres/pools/pools.ts'
import { enterMode } from './run/mode.ts'
import type { KnownFunctions } from './signatures/known-functions.ts'
import { SCHEMA_VERSION } from './signatures/version.ts'

/**
 * Looks now and then, while a database is called, whether it still has the schema that is known of
 * it: what is changed by hand makes no call fail that would show it.
 */
export class ChangesByHand {
  readonly #functions: KnownFunctions
  readonly #pools: Pools
  readonly #looking = new Set<string>()

  constructor(functions: KnownFunctions, pools: Pools) {
    this.#functions = functions
    this.#pools = pools
  }

  /** To be called after a call; looks where it is time to, without keeping the caller. */
  noticeCall(database: string): void {
    if (!this.#functions.isDue(database) || this.#looking.has(database)) return
    this.#looking.add(database)
    this.#look(database)
      // The next call looks again.
      .catch(() => {})
      .finally(() => this.#looking.delete(database))
  }

  async #look(database: string): Promise<void> {
    const lease = await this.#pools.leaseSession(database)
    try {
      const session = await lease.session
      // With the time that a statement has here.
      enterMode(lease.connection, session, 'exclusive')
      const query = session.run({ text: SCHEMA_VERSION, values: [] })
      session.flush()
      const { rows } = await query.result
      lease.release()
      this.#functions.check(database, rows[0]![0]!.toString())
    } catch (error) {
      lease.release(error)
      throw error
    }
  }
}
