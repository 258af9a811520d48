import type { ServerResponse } from 'node:http'
import { GatewayError } from '../../errors.ts'
import type { ByteBudget } from '../byte-budget.ts'

/** Bodies up to this size are not counted; MAX_HTTP_CONNECTIONS limits their number. */
const UNCOUNTED_BYTES = 16 * 1024

/** Bytes taken at a time for a body of unknown length. */
const STEP_BYTES = 256 * 1024

/** One body's share of the byte budget, until the request's answer is complete or cut. */
export class BodyBudget {
  readonly #budget: ByteBudget
  readonly #res: ServerResponse
  /** Body size that is covered by the bytes taken. */
  #covered = UNCOUNTED_BYTES
  #taken = 0

  constructor(budget: ByteBudget, res: ServerResponse) {
    this.#budget = budget
    this.#res = res
  }

  /** Takes bytes for a body of `size` bytes; returns false if the budget is exhausted. */
  covers(size: number): boolean {
    return size <= this.#covered || this.#take(size)
  }

  /** Does the same for a body that is still arriving: takes bytes in steps. */
  grow(size: number): boolean {
    return size <= this.#covered || this.#take(size + STEP_BYTES) || this.#take(size)
  }

  #take(size: number): boolean {
    // After 'close' nothing would release the bytes.
    if (this.#res.closed) return true
    if (!this.#budget.tryTake(size - this.#taken)) return false
    if (this.#taken === 0) this.#res.once('close', () => this.#budget.give(this.#taken))
    this.#taken = size
    this.#covered = size
    return true
  }
}

/** Returns the error of a body for which the budget is exhausted. */
export function bodyBudgetExhausted({ taken, capacity }: ByteBudget): GatewayError {
  return new GatewayError(
    'pool_exhausted',
    `MAX_BUFFERED_BYTES is exhausted for bodies: other requests and answers hold ${taken} bytes, and bodies get the first half of ${capacity}`,
  )
}
