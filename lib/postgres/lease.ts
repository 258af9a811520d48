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
  readonly sql: Sql
  /** Milliseconds that a call beside others is expected to take; undefined: the lease is exclusive. */
  readonly expectedMs: number | undefined
  /** `performance.now()` when it was granted. */
  readonly grantedAt = performance.now()
  readonly #end: LeaseEnd
  #isHeld = true
  /** Once it has ended: the connection is somebody else's then. */
  #usableAt: number | undefined

  constructor(connection: Connection, end: LeaseEnd, expectedMs?: number) {
    this.connection = connection
    this.sql = connection.sql
    this.expectedMs = expectedMs
    this.#end = end
  }

  /**
   * `performance.now()` since when its connection can be used: a connection that is granted while it
   * is being opened can be used later. Known once an answer has come.
   */
  get usableAt(): number {
    return this.#usableAt ?? Math.max(this.grantedAt, this.connection.busySince)
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
    this.#usableAt ??= this.usableAt
    this.#isHeld = false
    return isHeld
  }
}
