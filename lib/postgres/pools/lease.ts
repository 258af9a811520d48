import type { Session } from '../session/session.ts'
import type { Connection, Sql } from './connection.ts'

/** How a pool ends its leases. */
export interface LeaseEnd {
  release(lease: Lease, error?: unknown): void
  discard(lease: Lease): Promise<void>
}

/**
 * The right to use a connection until it is released: exclusively, or together with other quick
 * calls whose queries are pipelined on the same connection.
 */
export class Lease {
  readonly connection: Connection
  /** Expected time of a quick call in milliseconds; undefined for an exclusive lease. */
  readonly expectedMs: number | undefined
  readonly #end: LeaseEnd
  #isHeld = true

  constructor(connection: Connection, end: LeaseEnd, expectedMs?: number) {
    this.connection = connection
    this.expectedMs = expectedMs
    this.#end = end
  }

  /** The postgres.js client of an `sql` connection. */
  get sql(): Sql {
    return this.connection.sql
  }

  /** The session of a `wire` connection; a promise until it is open. */
  get session(): Session | Promise<Session> {
    return this.connection.session
  }

  /** Returns the connection to its pool. `error`: the error of the work, if it failed. */
  release(error?: unknown): void {
    if (this.#letGo()) this.#end.release(this, error)
  }

  /** Closes the connection instead: its session was changed, or its query still runs. */
  async discard(): Promise<void> {
    if (this.#letGo()) await this.#end.discard(this)
  }

  /** Closes the connection by force, because the server does not answer on it. */
  destroy(): void {
    if (this.#letGo()) this.connection.destroy()
  }

  #letGo(): boolean {
    const isHeld = this.#isHeld
    this.#isHeld = false
    return isHeld
  }
}
