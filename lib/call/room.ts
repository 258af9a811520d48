import { GatewayError } from '../errors.ts'
import type { Rows } from './run.ts'

/** How much the results of a batch may still come to, together. */
export class Room {
  readonly #maxBytes: number
  #left: number

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
    this.#left = maxBytes
  }

  /** @throws {GatewayError} result_too_large */
  take(result: Rows): Rows {
    if (result.rows.length > this.#left) throw tooLargeTogether(this.#maxBytes)
    this.#left -= result.rows.length
    return result
  }
}

function tooLargeTogether(maxBytes: number): GatewayError {
  return new GatewayError(
    'result_too_large',
    `The rows of the batch are larger than ${maxBytes} bytes together (MAX_RESULT_BYTES): send ` +
      'fewer calls at once',
  )
}
