import { GatewayError } from '../../errors.ts'

/** Maximum number of exports, imports and moves at once, whatever the number of connections. */
const MOST = 4

/** Connections of a transfer: of pg_dump or pg_restore, and of the lock of an import. */
const CONNECTIONS = 2

/** Part of the connections that transfers use at most. */
const PART = 4

/** A running export, import or move. */
interface Running {
  ending: Promise<unknown>
  mayGiveUp: boolean
}

/** The running exports and imports of this gateway, and moves to other servers. */
export class Transfers {
  readonly #capacity: () => number
  readonly #running = new Map<AbortController, Running>()

  /** `capacity` returns the number of connections that the gateway may open now. */
  constructor(capacity: () => number) {
    this.#capacity = capacity
  }

  /**
   * Runs an export, an import or a move.
   * @param limitMs aborts the signal after this time, with query_timeout
   * @param mayGiveUp whether `giveUp` ends it, after which the client can still be answered
   * @throws {GatewayError} pool_exhausted at once if as many run as may; what `work` throws
   */
  async run<T>(
    limitMs: number,
    work: (signal: AbortSignal) => Promise<T>,
    mayGiveUp = false,
  ): Promise<T> {
    const most = this.#most
    if (this.#running.size >= most) {
      throw new GatewayError(
        'pool_exhausted',
        `This process runs ${most} exports, imports and moves at once at most`,
      )
    }
    const abort = new AbortController()
    const onLimit = () => abort.abort(tooLong(limitMs))
    const timer = setTimeout(onLimit, limitMs).unref()
    const running = work(abort.signal)
    this.#running.set(abort, { ending: running, mayGiveUp })
    try {
      return await running
    } finally {
      clearTimeout(timer)
      this.#running.delete(abort)
    }
  }

  /** Resolves when none runs. */
  async drained(): Promise<void> {
    while (this.#running.size > 0)
      await Promise.allSettled([...this.#running.values()].map(({ ending }) => ending))
  }

  /** Aborts the imports and moves that run: what they have made is undone. */
  giveUp(): void {
    for (const [abort, { mayGiveUp }] of this.#running) if (mayGiveUp) abort.abort(stopping())
  }

  /** Aborts those that run; resolves when they have ended. */
  async end(): Promise<void> {
    for (const abort of this.#running.keys()) abort.abort(stopping())
    await this.drained()
  }

  get #most(): number {
    const some = Math.floor(this.#capacity() / (CONNECTIONS * PART))
    return Math.max(1, Math.min(MOST, some))
  }
}

function stopping(): GatewayError {
  return new GatewayError('connection_failed', 'The gateway is stopping')
}

function tooLong(limitMs: number): GatewayError {
  const seconds = limitMs / 1000
  return new GatewayError('query_timeout', `It took longer than ${seconds} s (DEPLOY_TIMEOUT_SECS)`)
}
