import { GatewayError } from '../errors.ts'
import type { Sql } from '../postgres/connection.ts'
import {
  endsConnection,
  isPostgresError,
  type PostgresError,
  postgresDetails,
} from '../postgres/errors.ts'
import { type BoundCall, type BoundParameter, textOf } from './bind/parameters.ts'
import { valueSql } from './bind/sql.ts'
import { unconvertible } from './bind/unconvertible.ts'

/**
 * SQLSTATEs of a call of what is not there, or is a procedure or an aggregate; of a type or a
 * schema that has another name.
 */
const NOT_FOUND = new Set(['42883', '42809', '42803', '42704', '3F000'])

/**
 * SQLSTATEs with which PostgreSQL refuses the call itself: a record without column list, an
 * ambiguous or a polymorphic type that does not resolve.
 */
const REFUSED = new Set(['42601', '42725', '42804', '42P18', '42846'])

/** What an XX000 says when the function, or the type of a parameter, was dropped just now. */
const DROPPED_MEANWHILE = /^cache lookup failed for (?:function|type) \d+$/

/** Where PostgreSQL was when it read a parameter; a function of its type may stand before. */
const PARAMETER_CONTEXT = /(?:^|\n)unnamed portal parameter \$(\d+)(?: = '.*')?$/s

/** What went wrong before the function ran, where that is so: such as a value that did not convert. */
export async function explain(sql: Sql, call: BoundCall, error: unknown): Promise<unknown> {
  if (!isPostgresError(error) || endsConnection(error)) return error
  const { where = '', code, message } = error
  const position = PARAMETER_CONTEXT.exec(where)?.[1]
  if (position) return conversionError(call.parameters[Number(position) - 1]!, error)
  // What happens inside of the function has its name in the context.
  if (new RegExp(`\\b${call.signature.name}\\b`).test(where)) return error
  if (DROPPED_MEANWHILE.test(message)) return changed(call)
  const parameter = await failedRecord(sql, call)
  if (parameter) return conversionError(parameter, error)
  if (where !== '') return error
  const details = postgresDetails(error)
  if (REFUSED.has(code)) return new GatewayError('invalid_request', message, details)
  if (!NOT_FOUND.has(code)) return error
  const candidates = [call.signature.text]
  return new GatewayError('function_not_found', message, { ...details, candidates })
}

/** The error of a function that was replaced before its call began. */
export function changed({ signature }: BoundCall): GatewayError {
  return new GatewayError('function_not_found', `Function ${signature.text} is being replaced`)
}

/** The JSON array or object that PostgreSQL could not turn into its type: each is tried alone. */
async function failedRecord(sql: Sql, call: BoundCall): Promise<BoundParameter | undefined> {
  for (const parameter of call.parameters) {
    if (parameter.form === 'text') continue
    try {
      await sql.unsafe(`select ${valueSql(parameter, 1)}`, [textOf(parameter.value)])
    } catch (error) {
      if (isPostgresError(error)) return parameter
      throw error
    }
  }
  return undefined
}

function conversionError({ label, type }: BoundParameter, error: PostgresError): GatewayError {
  const { context: _, ...details } = postgresDetails(error)
  return unconvertible(label, type, error.message, details)
}
