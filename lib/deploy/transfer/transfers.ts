import { GatewayError } from '../../errors.ts'

/** Maximum number of exports and imports at once, whatever the number of connections. */
const MOST = 4

/** Connections of a transfer: of pg_dump or pg_restore, and of the lock of an import. */
const CONNECTIONS = 2

/** Part of the connections that transfers use at most. */
const PART = 4

/** The running exports and imports of this gateway. */
export class Transfers {
  readonly #capacity: () => number
  readonly #running = new Map<AbortController, Promise<unknown>>()

  /** `capacity` returns the number of connections that the gateway may open now. */
  constructor(capacity: () => number) {
    this.#capacity = capacity
  }

  /**
   * Runs an export or import.
   * @param limitMs aborts the signal after this time, with query_timeout
   * @throws {GatewayError} pool_exhausted at once if as many run as may; what `work` throws
   */
  async run<T>(limitMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const most = this.#most
    if (this.#running.size >= most) {
      throw new GatewayError('pool_exhausted', `${most} exports and imports run at once at most`)
    }
    const abort = new AbortController()
    const onLimit = () => abort.abort(tooLong(limitMs))
    const timer = setTimeout(onLimit, limitMs).unref()
    const running = work(abort.signal)
    this.#running.set(abort, running)
    try {
      return await running
    } finally {
      clearTimeout(timer)
      this.#running.delete(abort)
    }
  }

  /** Resolves when none runs. */
  async drained(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running.values())
  }

  /** Aborts those that run; resolves when they have ended. */
  async end(): Promise<void> {
    const reason = new GatewayError('connection_failed', 'The gateway is stopping')
    for (const abort of this.#running.keys()) abort.abort(reason)
    await this.drained()
  }

  get #most(): number {
    const some = Math.floor(this.#capacity() / (CONNECTIONS * PART))
    return Math.max(1, Math.min(MOST, some))
  }
}

function tooLong(limitMs: number): GatewayError {
  const seconds = limitMs / 1000
  return new GatewayError('query_timeout', `It took longer than ${seconds} s (DEPLOY_TIMEOUT_SECS)`)
}
