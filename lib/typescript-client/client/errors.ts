/** What the gateway answers in the place of rows. */
export interface ErrorBody {
  [name: string]: unknown
  message?: unknown
  sqlstate?: unknown
  may_have_run?: unknown
}

/** An error that the gateway answers. */
export class GatewayError extends Error {
  override readonly name: string = 'GatewayError'
  readonly status: number
  /** The gateway's code, such as `query_failed`. */
  readonly code: string
  /** PostgreSQL's code, where the error is of PostgreSQL. */
  readonly sqlstate: string | undefined
  readonly detail: string | undefined
  readonly hint: string | undefined
  readonly constraint: string | undefined
  readonly table: string | undefined
  readonly column: string | undefined
  /** Whether something may be committed although the call failed. */
  readonly mayHaveRun: boolean
  /** The whole answer. */
  readonly body: ErrorBody

  constructor(status: number, body: ErrorBody) {
    super(String(body.message ?? `The gateway answers with status ${status}`))
    const text = (name: string) => (typeof body[name] === 'string' ? body[name] : undefined)
    this.status = status
    this.code = text('error') ?? 'unknown'
    this.sqlstate = text('sqlstate')
    this.detail = text('detail')
    this.hint = text('hint')
    this.constraint = text('constraint')
    this.table = text('table')
    this.column = text('column')
    // What is no answer of the gateway, such as that of a proxy, leaves it open.
    this.mayHaveRun = body.may_have_run === true || (this.code === 'unknown' && status >= 500)
    this.body = body
  }
}

/** No answer arrived: whether the call ran is not known. */
export class ConnectionError extends GatewayError {
  override readonly name = 'ConnectionError'
  constructor(cause: unknown) {
    super(0, {
      error: 'no_answer',
      message: 'No answer of the gateway arrived',
      may_have_run: true,
    })
    Object.assign(this, { cause })
  }
}

/** The function raised an exception without an SQLSTATE of its own: P0001. */
export class RaisedException extends GatewayError {}
/** 23505 */
export class UniqueViolation extends GatewayError {}
/** 23503 */
export class ForeignKeyViolation extends GatewayError {}
/** 23502 */
export class NotNullViolation extends GatewayError {}
/** 23514 */
export class CheckViolation extends GatewayError {}
/** 23P01 */
export class ExclusionViolation extends GatewayError {}
/** 42501 */
export class InsufficientPrivilege extends GatewayError {}
/** 40001 or 40P01: the same call may succeed when it is sent again. */
export class SerializationFailure extends GatewayError {}

const CLASSES: Record<string, typeof GatewayError> = {
  P0001: RaisedException,
  '23505': UniqueViolation,
  '23503': ForeignKeyViolation,
  '23502': NotNullViolation,
  '23514': CheckViolation,
  '23P01': ExclusionViolation,
  '42501': InsufficientPrivilege,
  '40001': SerializationFailure,
  '40P01': SerializationFailure,
}

export function errorOf(status: number, body: ErrorBody): GatewayError {
  return new (CLASSES[String(body.sqlstate)] ?? GatewayError)(status, body)
}

/** Whether an error of the gateway has one of these SQLSTATEs. */
export function hasSqlstate<S extends string>(
  error: unknown,
  ...sqlstates: S[]
): error is GatewayError & { sqlstate: S } {
  return error instanceof GatewayError && sqlstates.includes(error.sqlstate as S)
}
