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
  /** Array: parameters by position. Object: parameters by name. Undefined: no parameters. */
  params: Json | undefined
}

export interface BatchRequest {
  calls: BatchCall[]
  /** True: all calls run in one transaction. False: each call has a transaction of its own. */
  isTransaction: boolean
  /** Time limit of the whole batch; undefined: only STATEMENT_TIMEOUT_SECS, for each statement. */
  timeoutMs: number | undefined
  /** Custom settings that every call reads with current_setting. */
  session: SessionSettings | undefined
  /** Format of numeric and bigint in all results; undefined: NUMERIC_FORMAT. */
  numeric: NumericFormat | undefined
}

const MAX_CALLS = 100

/** Members of a batch request; those of each of its calls are CALL_MEMBERS. */
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

/** Members of the batch request that a call must not have. A specific error names the mistake. */
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
 * Reads the fields of a batch request from the body.
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
    throw new GatewayError('invalid_request', `${place} must be an object with function and params`)
  }
  const fields = fieldsOf(value, [...CALL_MEMBERS, ...MEMBERS_OF_BATCH], place, CALL_MEMBERS)
  const foreign = MEMBERS_OF_BATCH.find((field) => fields[field])
  if (foreign !== undefined) {
    throw new GatewayError(
      'invalid_request',
      `${place}.${foreign} applies to the whole batch: put it beside calls`,
    )
  }
  try {
    return { name: parseFunctionName(fields.function), params: parseParameters(fields.params) }
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    // The message begins with the name of the field.
    throw new GatewayError('invalid_request', `${place}.${error.message}`)
  }
}
