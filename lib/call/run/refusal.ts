import { GatewayError } from '../../errors.ts'
import { isQueryCanceled, postgresDetails } from '../../postgres/errors.ts'
import { ServerError } from '../../postgres/session/server-error.ts'
import type { Session } from '../../postgres/session/session.ts'
import type { BoundCall, BoundParameter } from '../bind/parameters.ts'
import { valueSql } from '../bind/sql.ts'
import { unconvertible } from '../bind/unconvertible.ts'
import type { Progress } from './send-call.ts'

/**
 * SQLSTATEs of a statement that names a missing object: a function, a procedure where a function is
 * meant, an aggregate, a type, a relation, a schema.
 */
const NOT_FOUND = new Set(['42883', '42809', '42803', '42704', '42P01', '3F000'])

/**
 * SQLSTATEs of an invalid statement: syntax, an ambiguous function, a type that does not fit or
 * does not resolve.
 */
const REFUSED = new Set(['42601', '42725', '42804', '42P18', '42846'])

/**
 * Routines in which PostgreSQL looks up and replans a prepared statement (prepare.c, plancache.c).
 */
const STATEMENT_ROUTINES = new Set(['FetchPreparedStatement', 'RevalidateCachedQuery'])

/**
 * Context of an error while PostgreSQL reads a parameter (postgres.c, bind_param_error_callback).
 * It is the last line, with the value if log_parameter_max_length_on_error is set. The context of
 * an input function may precede it.
 */
const PARAMETER_CONTEXT =
  /(?:^|\n)(?:unnamed portal|portal "\w+") parameter \$(\d+)(?: = '(?:[^']|'')*')?$/

/** Message of XX000 if the function, or the type of a parameter, was dropped concurrently. */
const DROPPED_MEANWHILE = /^cache lookup failed for (?:function|type) \d+$/

/**
 * Message of CALL, without context, if the procedure was dropped between its plan and its first
 * statement (functioncmds.c, ExecuteCallStmt; aclchk.c).
 */
const PROCEDURE_DROPPED =
  /^(?:cache lookup failed for function \d+|function with OID \d+ does not exist)$/

/** Meaning of an error of a call's statement. */
export type Refusal =
  /** The statement does not fit the database: the cached signature is stale. */
  | { kind: 'stale'; error: GatewayError }
  /** The session no longer has the prepared statement, or has it with other columns. */
  | { kind: 'gone' }
  /** A value does not convert to its parameter's type. */
  | { kind: 'unconvertible'; error: GatewayError }
  /** The function raised the error, or PostgreSQL raised it while the function ran. */
  | { kind: 'raised' }

/**
 * Determines whether PostgreSQL refused the statement before any of it ran. Such an error comes
 * before BindComplete, has a position in the statement, and has no context. An error inside a
 * function, even one that is inlined or folded at planning, has either no position in our statement
 * or a context.
 */
export function readRefusal(call: BoundCall, query: Progress, error: ServerError): Refusal {
  const { code, where, position, routine, message } = error
  if (where) {
    const parameter = query.state === 'bound' ? undefined : PARAMETER_CONTEXT.exec(where)?.[1]
    const bound = call.parameters[Number(parameter) - 1]
    // A timeout while a value is read is not an error of the value.
    if (!bound || isQueryCanceled(error)) return { kind: 'raised' }
    return { kind: 'unconvertible', error: conversionError(bound, error) }
  }
  // What had begun is rolled back, except for the commits of a procedure.
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
 * Returns the conversion error of a JSON array or object if that caused the failure. Tries each
 * such parameter in a separate query on the session of the call.
 */
export async function failedRecord(
  session: Session,
  call: BoundCall,
  { where }: ServerError,
): Promise<GatewayError | undefined> {
  // An error inside the function has the function's name in its context.
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

/** Returns the error for a value that PostgreSQL could not convert to its type. */
export function conversionError({ label, type }: BoundParameter, error: ServerError): GatewayError {
  const { context: _, ...details } = postgresDetails(error)
  return unconvertible(label, type, error.message, details)
}
