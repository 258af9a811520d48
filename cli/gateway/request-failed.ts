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
