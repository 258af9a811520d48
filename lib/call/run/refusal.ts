import { GatewayError } from '../../errors.ts'
import { isQueryCanceled, postgresDetails } from '../../postgres/errors.ts'
import { ServerError } from '../../postgres/session/server-error.ts'
import type { Session } from '../../postgres/session/session.ts'
import type { BoundCall, BoundParameter } from '../bind/parameters.ts'
import { valueSql } from '../bind/sql.ts'
import { unconvertible } from '../bind/unconvertible.ts'
import type { Progress } from './send-call.ts'

/**
 * SQLSTATEs of a statement that names what is not there: a function, a procedure where a function is
 * meant, an aggregate, a type, a relation, a schema.
 */
const NOT_FOUND = new Set(['42883', '42809', '42803', '42704', '42P01', '3F000'])

/**
 * SQLSTATEs with which PostgreSQL refuses a statement itself: syntax, an ambiguous function, a type
 * that does not fit or does not resolve.
 */
const REFUSED = new Set(['42601', '42725', '42804', '42P18', '42846'])

/** Where PostgreSQL looks a prepared statement up, and plans it anew (prepare.c, plancache.c). */
const STATEMENT_ROUTINES = new Set(['FetchPreparedStatement', 'RevalidateCachedQuery'])

/**
 * Where PostgreSQL was when it read a parameter (postgres.c, bind_param_error_callback): the last
 * line, with the value where log_parameter_max_length_on_error has it. A function of its type may
 * stand before.
 */
const PARAMETER_CONTEXT =
  /(?:^|\n)(?:unnamed portal|portal "\w+") parameter \$(\d+)(?: = '(?:[^']|'')*')?$/

/** What an XX000 says when the function, or the type of a parameter, was dropped just now. */
const DROPPED_MEANWHILE = /^cache lookup failed for (?:function|type) \d+$/

/**
 * What CALL says, with no context, of a procedure that was dropped between its plan and its first
 * statement (functioncmds.c, ExecuteCallStmt; aclchk.c).
 */
const PROCEDURE_DROPPED =
  /^(?:cache lookup failed for function \d+|function with OID \d+ does not exist)$/

/** What the error of a call's statement says of the call. */
export type Refusal =
  /** The statement does not fit the database: what is known of the function is not so. */
  | { kind: 'stale'; error: GatewayError }
  /** The session does not have the statement any more, or not with these columns. */
  | { kind: 'gone' }
  /** A value of a parameter is none of its type. */
  | { kind: 'unconvertible'; error: GatewayError }
  /** The function raised it, or PostgreSQL while it ran. */
  | { kind: 'raised' }

/**
 * Whether PostgreSQL refused the statement before anything of it ran. It says so by an error before
 * BindComplete that has a position in the statement and no context: whatever a function does, also
 * one that is inlined or folded while the statement is planned, has either no position of ours or a
 * context of its own.
 */
export function readRefusal(call: BoundCall, query: Progress, error: ServerError): Refusal {
  const { code, where, position, routine, message } = error
  if (where) {
    const parameter = query.state === 'bound' ? undefined : PARAMETER_CONTEXT.exec(where)?.[1]
    const bound = call.parameters[Number(parameter) - 1]
    // A time limit that hits while a value is read says nothing of the value.
    if (!bound || isQueryCanceled(error)) return { kind: 'raised' }
    return { kind: 'unconvertible', error: conversionError(bound, error) }
  }
  // Whatever had begun is rolled back, but for what a procedure has committed.
  const dropped = call.signature.kind === 'function' ? DROPPED_MEANWHILE : PROCEDURE_DROPPED
  if (dropped.test(message)) {
    return { kind: 'stale', error: beingReplaced(call) }
  }
  if (query.state === 'bound') return { kind: 'raised' }
  if (STATEMENT_ROUTINES.has(routine)) return { kind: 'gone' }
  if (!position) return { kind: 'raised' }
  const details = postgresDetails(error)
  if (REFUSED.has(code)) {
    return { kind: 'stale', error: new GatewayError('invalid_request', message, details) }
  }
  if (!NOT_FOUND.has(code)) return { kind: 'raised' }
  const candidates = [call.signature.text]
  return {
    kind: 'stale',
    error: new GatewayError('function_not_found', message, { ...details, candidates }),
  }
}

/**
 * The error of the JSON array or object that PostgreSQL could not turn into its type, where it was
 * that: each is tried by itself, on the session of the call.
 */
export async function failedRecord(
  session: Session,
  call: BoundCall,
  { where }: ServerError,
): Promise<GatewayError | undefined> {
  // What happens within the function has its name in the context.
  if (where && new RegExp(`\\b${call.signature.name}\\b`).test(where)) return undefined
  for (const parameter of call.parameters) {
    if (parameter.form === 'text') continue
    const text = `select ${valueSql(parameter, 1)}`
    try {
      await session.run({ text, values: [parameter.value], isPrepared: false }).result
    } catch (error) {
      if (!(error instanceof ServerError) || isQueryCanceled(error)) throw error
      return conversionError(parameter, error)
    }
  }
  return undefined
}

function beingReplaced({ signature }: BoundCall): GatewayError {
  return new GatewayError('function_not_found', `Function ${signature.text} is being replaced`)
}

/** The error of a value that PostgreSQL could not read as its type. */
export function conversionError({ label, type }: BoundParameter, error: ServerError): GatewayError {
  const { context: _, ...details } = postgresDetails(error)
  return unconvertible(label, type, error.message, details)
}
