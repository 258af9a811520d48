import { GatewayError } from '../errors.ts'
import { type Fields, fieldsOf } from '../json/fields.ts'
import { parseFlag } from '../json/flag.ts'
import { countOf, elementsOf, type Json } from '../json/json.ts'
import type { NumericFormat } from '../json/numeric-format.ts'
import { parseFunctionName } from '../tenancy/names.ts'
import { parseParameters } from './bind/parameters.ts'
import { parseNumeric, parseSession, parseTimeout, type SessionSettings } from './request.ts'

/** One call of a batch. */
export interface BatchCall {
  name: string
  /** An array, by position; an object, by name; undefined: none. */
  params: Json | undefined
}

export interface BatchRequest {
  calls: BatchCall[]
  /** All or nothing; or each call by itself. */
  isTransaction: boolean
  /** How long all of it may run. */
  timeoutMs: number | undefined
  /** Settings that every call finds. */
  session: SessionSettings | undefined
  /** How numeric and bigint are written in all results; undefined: as NUMERIC_FORMAT says. */
  numeric: NumericFormat | undefined
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
  'schema_name',
  'uuid',
  'numeric',
] as const
const CALL_MEMBERS = ['function', 'params'] as const

/** Members of the batch that nobody should think of as a call's own. */
const MEMBERS_OF_BATCH = [
  'platform',
  'tenant_id',
  'schema_name',
  'uuid',
  'session',
  'timeout_ms',
  'transaction',
  'numeric',
] as const

/**
 * The fields of a batch in a request's body.
 * @throws {GatewayError} invalid_request naming the field
 */
export function parseBatch(body: Fields<(typeof BATCH_MEMBERS)[number]>): BatchRequest {
  return {
    calls: parseCalls(body.calls),
    isTransaction: parseFlag('transaction', body.transaction),
    timeoutMs: parseTimeout(body.timeout_ms),
    session: parseSession(body.session),
    numeric: parseNumeric(body.numeric),
  }
}

function parseCalls(value: Json | undefined): BatchCall[] {
  const count = value?.kind === 'array' ? countOf(value) : undefined
  if (value === undefined || count === undefined || count === 0 || count > MAX_CALLS) {
    throw new GatewayError(
      'invalid_request',
      `calls must be an array of 1 to ${MAX_CALLS} calls${count === undefined ? '' : `; got ${count}`}`,
    )
  }
  return elementsOf(value).map((call, i) => parseBatchCall(call, `calls[${i}]`))
}

function parseBatchCall(value: Json, place: string): BatchCall {
  if (value.kind !== 'object') {
    throw new GatewayError('invalid_request', `${place} must be an object: a function and params`)
  }
  const fields = fieldsOf(value, [...CALL_MEMBERS, ...MEMBERS_OF_BATCH], place, CALL_MEMBERS)
  const foreign = MEMBERS_OF_BATCH.find((field) => fields[field])
  if (foreign !== undefined) {
    throw new GatewayError(
      'invalid_request',
      `${place}.${foreign} is of the whole batch: it stands beside calls`,
    )
  }
  try {
    return { name: parseFunctionName(fields.function), params: parseParameters(fields.params) }
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    // Its message begins with the name of the field.
    throw new GatewayError('invalid_request', `${place}.${error.message}`)
  }
}
