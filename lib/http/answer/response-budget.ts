import type { ServerResponse } from 'node:http'
import type { H3Event } from 'h3'
import { GatewayError } from '../../errors.ts'
import type { ByteBudget, Holder } from '../byte-budget.ts'
import { nodeOf } from '../request.ts'

/** Answers up to this size are not counted: in most cases the socket takes them at once. */
const UNCOUNTED_BYTES = 64 * 1024

/**
 * One answer's share of the byte budget, from its first row until the client has received all of it
 * or has disconnected.
 */
export class AnswerBudget {
  readonly #budget: ByteBudget
  readonly #res: ServerResponse
  readonly #waitMs: number
  /** Bytes of the answer so far, counted or not. */
  #size = 0
  #holder: Holder | undefined

  constructor(budget: ByteBudget, res: ServerResponse, waitMs: number) {
    this.#budget = budget
    this.#res = res
    this.#waitMs = waitMs
  }

  /**
   * Admits the next bytes of rows before they are read. Returns true, or a promise until which the
   * rows wait in PostgreSQL.
   * @throws {GatewayError} rejects with pool_exhausted if the budget stays exhausted for `waitMs`,
   *   or if the client disconnects
   */
  admit(bytes: number): true | Promise<void> {
    this.#size += bytes
    if (this.#size <= UNCOUNTED_BYTES) return true
    if (this.#res.closed) return Promise.reject(clientGone())
    const holder = this.#countedHolder()
    const admitted = this.#budget.take(holder, this.#size - holder.held)
    return admitted === true || this.#within(admitted, holder)
  }

  /** Counts the next bytes of rows, even beyond the budget. */
  take(bytes: number): void {
    this.#hold(this.#size + bytes)
  }

  /** Releases admitted or counted bytes that are not kept. */
  drop(bytes: number): void {
    this.#hold(this.#size - bytes)
  }

  /**
   * Releases all but `kept` bytes, because the rows are dropped and read again. Pending waits
   * belong to a session that has ended.
   */
  restart(kept = 0): void {
    if (this.#holder) this.#budget.leave(this.#holder, notWanted())
    this.#hold(kept)
  }

  /** Sets the size of the written answer, even beyond the budget. */
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

/** Returns the budget of a response's answer. `waitMs`: maximum wait for more bytes. */
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

/** The budget of the answer to a request. Created at the first use: short answers need none. */
export class ResponseBudget {
  readonly #event: H3Event

  constructor(event: H3Event) {
    this.#event = event
  }

  /** As `admit` of the answer's budget; waits for at most POOL_WAIT_TIMEOUT_SECS. */
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
  // `waitMs` is 0 because a written answer does not wait.
  answerBudgetOf(budget, res, 0).settle(bytes)
}

function clientGone(): GatewayError {
  return new GatewayError('pool_exhausted', 'The client disconnected before its answer was read')
}

/** Returns the error of a wait of an attempt that was given up. */
function notWanted(): GatewayError {
  return new GatewayError('pool_exhausted', 'The attempt that waited for the rows was given up')
}

function answerBudgetExhausted({ taken, capacity }: ByteBudget, waitMs: number): GatewayError {
  return new GatewayError(
    'pool_exhausted',
    `MAX_BUFFERED_BYTES is exhausted: other requests and answers hold ${taken} of ${capacity} bytes, and the answer has waited for ${waitMs / 1000} s`,
  )
}
