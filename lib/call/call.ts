import { GatewayError } from '../errors.ts'
import type { Sql } from '../postgres/connection.ts'
import {
  fromPostgres,
  isPostgresError,
  type PostgresError,
  postgresDetails,
} from '../postgres/errors.ts'
import type { Pools } from '../postgres/pools.ts'
import {
  type BoundCall,
  type BoundParameter,
  bindCall,
  callText,
  type Parameters,
  placeholder,
  unconvertible,
} from './parameters.ts'
import type { Signature } from './signature.ts'
import type { Signatures } from './signatures.ts'

/** The rows as PostgreSQL rendered them. */
export interface CallResult {
  /** A JSON array, in UTF-8. */
  rows: Uint8Array
  rowCount: number
}

const NO_ROWS = Buffer.from('[]')

/** SQLSTATEs of a call of what is not there, or is a procedure or an aggregate. */
const NOT_FOUND = new Set(['42883', '42809', '42803'])

/**
 * SQLSTATEs with which PostgreSQL refuses the call itself: a record without column list, an
 * ambiguous or a polymorphic type that does not resolve.
 */
const REFUSED = new Set(['42601', '42725', '42804', '42P18', '42846'])

/** Of the parameters of one function; each is a prepared statement on each connection. */
const MAX_FORMS = 100

/** What an XX000 says when the function, or the type of a parameter, was dropped just now. */
const DROPPED_MEANWHILE = /^cache lookup failed for (?:function|type) \d+$/

/** Where PostgreSQL was when it read a parameter; a function of its type may stand before. */
const PARAMETER_CONTEXT = /(?:^|\n)unnamed portal parameter \$(\d+)(?: = '.*')?$/s

/**
 * Runs `select * from name(params)` in the database.
 * @throws {GatewayError} function_not_found, invalid_request for a value that does not convert,
 *   query_failed and query_timeout for what the function raised, pool_exhausted, connection_failed
 */
export async function callFunction(
  pools: Pools,
  signatures: Signatures,
  database: string,
  name: string,
  params: Parameters,
): Promise<CallResult> {
  try {
    return await pools.use(database, async (sql) => {
      const known = await signatures.get(sql, database, name)
      try {
        return await run(sql, bindCall(name, known, params))
      } catch (error) {
        if (!mayBeStale(error)) throw error
        signatures.forget(database)
        const current = await signatures.get(sql, database, name)
        if (isSame(known, current)) throw error
        return await run(sql, bindCall(name, current, params))
      }
    })
  } catch (error) {
    throw fromPostgres(error, database)
  }
}

async function run(sql: Sql, call: BoundCall): Promise<CallResult> {
  try {
    const values = call.parameters.map((parameter) => parameter.value)
    const [row] = await sql(statement(call), ...values).raw()
    const [rows, rowCount, isCurrent] = row as unknown as [Uint8Array | null, Buffer, Buffer]
    if (isCurrent.toString('latin1') !== 't') throw changed(call)
    return { rows: rows ?? NO_ROWS, rowCount: Number(rowCount.toString('latin1')) }
  } catch (error) {
    throw isPostgresError(error) ? await explain(sql, call, error) : error
  }
}

/** The call's SQL, made once for each function and form of its parameters. */
function statement(call: BoundCall): TemplateStringsArray {
  const { statements } = call.signature
  let form = ''
  for (const p of call.parameters) form += `${p.named ? p.label : ''} ${p.form} ${p.type},`
  const known = statements.get(form)
  if (known) return known
  const text = callText(call)
  // A caller may name any subset of the arguments with defaults.
  if (statements.size >= MAX_FORMS) statements.clear()
  statements.set(form, text)
  return text
}

/** The call did not start, maybe since the function is not as it was when it was last looked at. */
function mayBeStale(error: unknown): boolean {
  const codes: unknown[] = ['function_not_found', 'invalid_request']
  return error instanceof GatewayError && codes.includes(error.code)
}

function changed({ signature }: BoundCall): GatewayError {
  return new GatewayError('function_not_found', `Function ${signature.text} is being replaced`)
}

function isSame(a: Signature[], b: Signature[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** Says which parameter did not convert, where that is what happened. */
async function explain(sql: Sql, call: BoundCall, error: PostgresError): Promise<unknown> {
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

/** The JSON array or object that PostgreSQL could not turn into its type: each is tried alone. */
async function failedRecord(sql: Sql, call: BoundCall): Promise<BoundParameter | undefined> {
  for (const parameter of call.parameters) {
    if (parameter.form !== 'record') continue
    const [before, after] = placeholder(parameter)
    const texts = [`select ${before}`, after]
    const probe = Object.assign(texts, { raw: texts })
    try {
      await sql(probe, parameter.value)
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
