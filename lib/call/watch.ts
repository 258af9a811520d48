import { GatewayError } from '../errors.ts'
import { isPostgresError, isQueryCanceled } from '../postgres/errors.ts'
import type { Lease } from '../postgres/lease.ts'
import { cutWhenSilent } from '../postgres/silence.ts'
import { type Client, clientGone } from '../postgres/waiter.ts'

/** SQLSTATE of what stands behind a query that failed in its transaction. */
const IN_FAILED_TRANSACTION = '25P02'

/** What postgres.js knows of a query and its types do not list. */
interface Progress {
  /** Null before the query is on its way to the socket. */
  state: object | null
  /** Only its types have been asked for, so far. */
  describeFirst?: boolean
}

/**
 * Cancels what a call runs when its time is up or its client has gone away, and cuts its connection
 * when that has died without saying so.
 */
export class Watch {
  readonly #client: Client
  readonly #lease: Lease
  readonly #timeoutMs: number | undefined
  #timer: NodeJS.Timeout | undefined
  #queries: Promise<unknown>[] = []
  #isTimeUp = false
  #mayHaveRun = false
  readonly #bytesWritten: number
  #endSilence: () => void
  #isEnded = false
  /** Whatever it watches over changes nothing. */
  isReadOnly = false

  /** `timeoutMs` counts from the first query; undefined: no limit of its own. */
  constructor(client: Client, lease: Lease, timeoutMs: number | undefined) {
    this.#client = client
    this.#lease = lease
    this.#timeoutMs = timeoutMs
    this.#bytesWritten = lease.connection.bytesWritten
    this.#endSilence = cutWhenSilent(lease.connection)
    client.onGone = () => this.#cancel()
  }

  /**
   * To be asked right before a call is sent.
   * @throws {GatewayError} pool_exhausted where the client has gone meanwhile
   */
  stopIfGone(): void {
    if (this.#client.isGone) throw clientGone(this.#lease.connection.database)
  }

  /** Watches over these queries from now on. */
  over(queries: Promise<unknown>[]): void {
    if (queries !== this.#queries) this.#mayHaveRun = this.mayHaveRun
    this.#queries = queries
    if (this.isOver) this.#cancel()
    else if (this.#timeoutMs !== undefined && !this.#timer) this.#startTimer(this.#timeoutMs)
  }

  /** Waits for something of the client's; that the server is silent meanwhile means nothing. */
  async whileServerWaits(work: Promise<void>): Promise<void> {
    this.#endSilence()
    try {
      await work
    } finally {
      if (!this.#isEnded) this.#endSilence = cutWhenSilent(this.#lease.connection)
    }
  }

  /** Call it when there is nothing to watch over any more. */
  end(): void {
    this.#isEnded = true
    this.#client.onGone = undefined
    this.#endSilence()
    clearTimeout(this.#timer)
  }

  /** Its time is up or its client has gone: nothing more is to be started. */
  get isOver(): boolean {
    return this.#isTimeUp || this.#client.isGone
  }

  /**
   * Whether PostgreSQL may have begun with one of the queries; false only where it certainly has
   * not.
   */
  get mayHaveRun(): boolean {
    if (this.#mayHaveRun) return true
    if (this.#lease.connection.bytesWritten === this.#bytesWritten) return false
    return (this.#queries as (Promise<unknown> & Progress)[]).some(
      ({ state, describeFirst }) => state !== null && !describeFirst,
    )
  }

  /** What the caller is told of an error, which may be of the watch's own making. */
  explain(error: unknown): unknown {
    if (!this.#isTimeUp || !isCancelled(error)) return error
    return new GatewayError(
      'query_timeout',
      `The function was cancelled after ${this.#timeoutMs} ms (timeout_ms)`,
      { database: this.#lease.connection.database },
    )
  }

  /** Whether a query was cancelled that somebody else's cancel was meant for: it was rolled back. */
  wasHitByAnother(error: unknown): boolean {
    return !this.isOver && this.#lease.connection.wasCancelled && isQueryCanceled(error)
  }

  #startTimer(timeoutMs: number): void {
    this.#timer = setTimeout(() => {
      this.#isTimeUp = true
      this.#cancel()
    }, timeoutMs)
  }

  #cancel(): void {
    this.#lease.connection.cancel(this.#queries)
  }
}

/** The cancel may have hit a `begin` or a `commit`, too, and with it the transaction behind. */
function isCancelled(error: unknown): boolean {
  const isBehind = isPostgresError(error) && error.code === IN_FAILED_TRANSACTION
  return isBehind || isQueryCanceled(error)
}

/**
 * Watches over the queries of several calls that run at once. Those that have ended are let go, and
 * with them what they gave.
 */
export function watchTogether(watch: Watch): Pick<Watch, 'over'> {
  const running: Promise<unknown>[] = []
  return {
    over(queries) {
      running.push(...queries)
      watch.over(running)
      for (const query of queries) {
        // One that failed holds nothing, and is still asked whether it was sent.
        const letGo = () => running.splice(running.indexOf(query), 1)
        query.then(letGo, () => {})
      }
    },
  }
}
