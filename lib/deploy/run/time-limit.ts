import { GatewayError } from '../../errors.ts'
import type { Connection } from '../../postgres/pools/connection.ts'

/** Time limit of a whole deploy on its connection. */
export class TimeLimit {
  readonly #connection: Connection
  readonly #limitMs: number
  #isOver = false
  #hasEnded = false
  #cancelling: Promise<void> | undefined

  constructor(connection: Connection, limitMs: number) {
    this.#connection = connection
    this.#limitMs = limitMs
  }

  /**
   * Runs `work`. When the time is up, cancels its queries until it ends, so that its transaction is
   * rolled back. No cancel is pending when this returns.
   * @throws {GatewayError} query_timeout
   */
  async over<T>(work: () => Promise<T>): Promise<T> {
    const timer = setTimeout(() => {
      this.#isOver = true
      this.#cancelling = this.#connection.cancelUntil(() => this.#hasEnded)
    }, this.#limitMs)
    try {
      return await work()
    } catch (error) {
      throw this.#isOver ? this.#timeout(error) : error
    } finally {
      clearTimeout(timer)
      this.#hasEnded = true
      await this.#cancelling
    }
  }

  /**
   * Checks the limit for work that waits in the gateway rather than in PostgreSQL.
   * @throws {GatewayError} query_timeout when the time is up
   */
  check(): void {
    if (this.#isOver) throw this.#timeout(undefined)
  }

  /** Whether the time is up, for work that waits in the gateway rather than in PostgreSQL. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Name of the database that is deployed to. */
  get database(): string {
    return this.#connection.database
  }

  /** The limit, in seconds. */
  get seconds(): number {
    return this.#limitMs / 1000
  }

  #timeout(error: unknown): GatewayError {
    if (error instanceof GatewayError && error.code === 'query_timeout') return error
    const { file, line, source } = error instanceof GatewayError ? error.details : {}
    return new GatewayError(
      'query_timeout',
      `The deploy took longer than ${this.seconds} s and was cancelled (DEPLOY_TIMEOUT_SECS)`,
      { database: this.database, file, line, source },
    )
  }
}
