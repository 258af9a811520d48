import type { ServerResponse } from 'node:http'
import { GatewayError } from '../../errors.ts'
import type { ByteBudget } from '../byte-budget.ts'

/** A body up to this size is not counted: the most of them is bounded by MAX_HTTP_CONNECTIONS. */
const UNCOUNTED_BYTES = 16 * 1024

/** A body of unknown length takes so many bytes at once. */
const STEP_BYTES = 256 * 1024

/** What one request's body holds of the budget, until the request's answer is out or cut. */
export class BodyBudget {
  readonly #budget: ByteBudget
  readonly #res: ServerResponse
  /** A body of this size has its room. */
  #covered = UNCOUNTED_BYTES
  #taken = 0

  constructor(budget: ByteBudget, res: ServerResponse) {
    this.#budget = budget
    this.#res = res
  }

  /** Has room for a body of `size` bytes; false where the budget has none. */
  covers(size: number): boolean {
    return size <= this.#covered || this.#take(size)
  }

  /** The same for a body that is still coming: it takes room in steps. */
  grow(size: number): boolean {
    return size <= this.#covered || this.#take(size + STEP_BYTES) || this.#take(size)
  }

  #take(size: number): boolean {
    // The answer is out already, and nothing would give it back.
    if (this.#res.closed) return true
    if (!this.#budget.tryTake(size - this.#taken)) return false
    if (this.#taken === 0) this.#res.once('close', () => this.#budget.give(this.#taken))
    this.#taken = size
    this.#covered = size
    return true
  }
}

/** A body finds no room in the budget. */
export function bodyBudgetExhausted({ taken, capacity }: ByteBudget): GatewayError {
  return new GatewayError(
    'pool_exhausted',
    `No room for the body: other requests and answers hold ${taken} bytes, and bodies get the first half of ${capacity} (MAX_BUFFERED_BYTES)`,
  )
}
