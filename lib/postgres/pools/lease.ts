import type { Session } from '../session/session.ts'
import type { Connection, Sql } from './connection.ts'

/** What becomes of a connection when a lease of it ends; its pool decides. */
export interface LeaseEnd {
  release(lease: Lease, error?: unknown): void
  discard(lease: Lease): Promise<void>
}

/**
 * The right to use a connection, until it is given back: alone, or beside other quick calls whose
 * queries go down the same connection one behind the other.
 */
export class Lease {
  readonly connection: Connection
  /** Milliseconds that a call beside others is expected to take; undefined: the lease is exclusive. */
  readonly expectedMs: number | undefined
  readonly #end: LeaseEnd
  #isHeld = true

  constructor(connection: Connection, end: LeaseEnd, expectedMs?: number) {
    this.connection = connection
    this.expectedMs = expectedMs
    this.#end = end
  }

  /** The driver's client, of a connection for the gateway's own SQL. */
  get sql(): Sql {
    return this.connection.sql
  }

  /** The session of a connection for calls, at once where it is open. */
  get session(): Session | Promise<Session> {
    return this.connection.session
  }

  /** Gives the connection back for others to use; pass the error of the work if it failed. */
  release(error?: unknown): void {
    if (this.#letGo()) this.#end.release(this, error)
  }

  /** Closes the connection instead: its session is not as it was, or its query still runs. */
  async discard(): Promise<void> {
    if (this.#letGo()) await this.#end.discard(this)
  }

  /** Cuts the connection: the server does not answer on it. */
  destroy(): void {
    if (this.#letGo()) this.connection.destroy()
  }

  #letGo(): boolean {
    const isHeld = this.#isHeld
    this.#isHeld = false
    return isHeld
  }
}
