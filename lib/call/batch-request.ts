import type { JsonObject } from '../body.ts'
import { GatewayError } from '../errors.ts'
import type { JsonValue } from '../json.ts'
import { checkNames } from '../known-names.ts'
import { parseFunctionName } from '../names.ts'
import { type Parameters, parseParameters } from './bind/parameters.ts'
import { parseFlag, parseSession, parseTimeout, type Session } from './request.ts'

/** One call of a batch. */
export interface BatchCall {
  name: string
  params: Parameters
}

export interface BatchRequest {
  calls: BatchCall[]
  /** All or nothing; or each call by itself. */
  isTransaction: boolean
  /** How long all of it may run. */
  timeoutMs: number | undefined
  /** Settings that every call finds. */
  session: Session | undefined
}

const MAX_CALLS = 100

/** The members of a request for a batch, and of each of its calls. */
export const BATCH_MEMBERS = [
  'platform',
  'tenant_id',
  'calls',
  'transaction',
  'timeout_ms',
  'session',
] as const
const CALL_MEMBERS = ['function', 'params']

/** Fields of the batch that nobody should think of as a call's own. */
const FIELDS_OF_BATCH = ['platform', 'tenant_id', 'session', 'timeout_ms', 'transaction']

/**
 * The fields of a batch in a request's body.
 * @throws {GatewayError} invalid_request naming the field
 */
export function parseBatch(body: JsonObject): BatchRequest {
  return {
    calls: parseCalls(body.calls),
    isTransaction: parseFlag('transaction', body.transaction),
    timeoutMs: parseTimeout(body.timeout_ms),
    session: parseSession(body.session),
  }
}

function parseCalls(value: JsonValue | undefined): BatchCall[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_CALLS) {
    const given = Array.isArray(value) ? `; got ${value.length}` : ''
    throw new GatewayError(
      'invalid_request',
      `calls must be an array of 1 to ${MAX_CALLS} calls${given}`,
    )
  }
  return value.map((call, i) => parseBatchCall(call, `calls[${i}]`))
}

function parseBatchCall(value: JsonValue, place: string): BatchCall {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new GatewayError('invalid_request', `${place} must be an object: a function and params`)
  }
  const foreign = FIELDS_OF_BATCH.find((field) => Object.hasOwn(value, field))
  if (foreign !== undefined) {
    throw new GatewayError(
      'invalid_request',
      `${place}.${foreign} is of the whole batch: it stands beside calls`,
    )
  }
  checkNames('member', Object.keys(value), CALL_MEMBERS, place)
  try {
    return { name: parseFunctionName(value.function), params: parseParameters(value.params) }
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    // Its message begins with the name of the field.
    throw new GatewayError('invalid_request', `${place}.${error.message}`)
  }
}
