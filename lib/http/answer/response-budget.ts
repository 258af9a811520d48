import type { ServerResponse } from 'node:http'
import type { H3Event } from 'h3'
import { GatewayError } from '../../errors.ts'
import type { ByteBudget, Holder } from '../byte-budget.ts'
import { nodeOf } from '../request.ts'

/** An answer up to this size is not counted: a socket takes it at once in most cases. */
const UNCOUNTED_BYTES = 64 * 1024

/**
 * What one answer holds of the budget: from its first row on until the client has all of it, or is
 * gone.
 */
export class AnswerBudget {
  readonly #budget: ByteBudget
  readonly #res: ServerResponse
  readonly #waitMs: number
  /** Bytes that were admitted, counted or not. */
  #size = 0
  #holder: Holder | undefined

  constructor(budget: ByteBudget, res: ServerResponse, waitMs: number) {
    this.#budget = budget
    this.#res = res
    this.#waitMs = waitMs
  }

  /**
   * Admits the next bytes of the answer's rows, before they are read: true at once, or a promise.
   * Until it resolves, nothing more is read of the rows: they wait in PostgreSQL.
   * @throws {GatewayError} rejects with pool_exhausted where there is no room within `waitMs`, and
   *   where the client goes away
   */
  admit(bytes: number): true | Promise<void> {
    this.#size += bytes
    if (this.#size <= UNCOUNTED_BYTES) return true
    if (this.#res.closed) return Promise.reject(clientGone())
    const holder = this.#countedHolder()
    const admitted = this.#budget.take(holder, this.#size - holder.held)
    return admitted === true || this.#within(admitted, holder)
  }

  /** Counts the next bytes of the answer's rows, whether there is room or not. */
  take(bytes: number): void {
    this.#hold(this.#size + bytes)
  }

  /** Gives bytes back that were admitted or taken, and are not kept. */
  drop(bytes: number): void {
    this.#hold(this.#size - bytes)
  }

  /**
   * Gives back all but so many bytes: the other rows that were admitted are dropped, and others come.
   * What still waits is of a session that is gone.
   */
  restart(kept = 0): void {
    if (this.#holder) this.#budget.leave(this.#holder, notWanted())
    this.#hold(kept)
  }

  /** The answer is written, and has so many bytes: it holds as many, whether there is room or not. */
  settle(bytes: number): void {
    this.restart(bytes)
  }

  #hold(bytes: number): void {
    this.#size = bytes
    const counted = bytes <= UNCOUNTED_BYTES ? 0 : bytes
    if (counted === 0 && !this.#holder) return
    if (!this.#res.closed) this.#budget.hold(this.#countedHolder(), counted)
  }

  #countedHolder(): Holder {
    if (this.#holder) return this.#holder
    const holder = this.#budget.newHolder()
    this.#holder = holder
    this.#res.once('close', () => this.#budget.end(holder, clientGone()))
    return holder
  }

  async #within(admitted: Promise<void>, holder: Holder): Promise<void> {
    const timer = setTimeout(
      () => this.#budget.leave(holder, answerBudgetExhausted(this.#budget, this.#waitMs)),
      this.#waitMs,
    )
    try {
      await admitted
    } finally {
      clearTimeout(timer)
    }
  }
}

const answerBudgets = new WeakMap<ServerResponse, AnswerBudget>()

/** The room of a response's answer. `waitMs`: how long it may wait for more. */
export function answerBudgetOf(
  budget: ByteBudget,
  res: ServerResponse,
  waitMs: number,
): AnswerBudget {
  let answerBudget = answerBudgets.get(res)
  if (!answerBudget) {
    answerBudget = new AnswerBudget(budget, res, waitMs)
    answerBudgets.set(res, answerBudget)
  }
  return answerBudget
}

/** The room of the answer to a request, which most of them never ask for. */
export class ResponseBudget {
  readonly #event: H3Event

  constructor(event: H3Event) {
    this.#event = event
  }

  /** As of `AnswerBudget`; waits for at most POOL_WAIT_TIMEOUT_SECS. */
  admit(bytes: number): true | Promise<void> {
    return this.#answerBudget.admit(bytes)
  }

  take(bytes: number): void {
    this.#answerBudget.take(bytes)
  }

  drop(bytes: number): void {
    answerBudgets.get(nodeOf(this.#event).res)?.drop(bytes)
  }

  restart(kept?: number): void {
    answerBudgets.get(nodeOf(this.#event).res)?.restart(kept)
  }

  get #answerBudget(): AnswerBudget {
    const { buffered, config } = this.#event.context.gateway
    return answerBudgetOf(buffered, nodeOf(this.#event).res, config.poolWaitTimeoutMs)
  }
}

/** Counts the bytes of an answer that is about to be written. */
export function countAnswer(budget: ByteBudget, res: ServerResponse, bytes: number): void {
  if (bytes <= UNCOUNTED_BYTES && !answerBudgets.has(res)) return
  // It waits for nothing any more.
  answerBudgetOf(budget, res, 0).settle(bytes)
}

function clientGone(): GatewayError {
  return new GatewayError('pool_exhausted', 'The client did not wait for its answer')
}

/** What was waited for has been given up. */
function notWanted(): GatewayError {
  return new GatewayError('pool_exhausted', 'The rows are not waited for any more')
}

function answerBudgetExhausted({ taken, capacity }: ByteBudget, waitMs: number): GatewayError {
  return new GatewayError(
    'pool_exhausted',
    `No room for the answer within ${waitMs / 1000} s: other requests and answers hold ${taken} of ${capacity} bytes (MAX_BUFFERED_BYTES)`,
  )
}
