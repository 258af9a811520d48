import { GatewayError } from '../../lib/errors.ts'

/** The body of an answer with an error, as the HTTP contract has it. */
export interface FailureBody {
  error: string
  message: string
  [member: string]: unknown
}

/** A request that the gateway answered with an error. */
export class RequestFailed extends Error {
  override readonly name = 'RequestFailed'
  readonly status: number
  readonly body: FailureBody

  constructor(status: number, body: FailureBody) {
    super(body.message)
    this.status = status
    this.body = body
  }
}

/**
 * Returns the body of an error that a gateway answered with, or that its code has thrown here;
 * undefined for any other error.
 */
export function failureBody(error: unknown): Record<string, unknown> | undefined {
  if (error instanceof RequestFailed) return error.body
  return error instanceof GatewayError ? error.toJSON() : undefined
}
