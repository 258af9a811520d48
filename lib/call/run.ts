import { GatewayError } from '../errors.ts'
import type { Sql } from '../postgres/connection.ts'
import { type BoundCall, valuesOf } from './bind/parameters.ts'
import { resultSql } from './bind/sql.ts'
import { changed, explain } from './explain.ts'
import type { Session } from './request.ts'
import { IS_IN_TRANSACTION, inTransaction, once, type Query } from './transaction.ts'
import type { Watch } from './watch.ts'

/** The rows as PostgreSQL rendered them. */
export interface Rows {
  /** A JSON array, in UTF-8. */
  rows: Buffer
  rowCount: number
}

/** The columns of resultSql. */
type ResultRow = [rows: Buffer | null, rowCount: Buffer, isCurrent: Buffer, took: Buffer]

export const NO_ROWS = Buffer.from('[]')
const TRUE = 't'.charCodeAt(0)

/** Of the parameters of one function; each is a prepared statement on each connection. */
const MAX_FORMS = 100

/**
 * How a query is sent: prepared once on each connection; or not, where something may have taken the
 * statements that were prepared before.
 */
export type Preparing = { prepare: boolean; simple: false }
export const PREPARED: Preparing = { prepare: true, simple: false }
export const UNPREPARED: Preparing = { prepare: false, simple: false }

/**
 * Runs a call; with a session, even an empty one, in a transaction of its own that has these
 * settings.
 * @throws {GatewayError} function_not_found and invalid_request where it has not run;
 *   result_too_large
 * @throws {PostgresError} what the function raised
 */
export async function runCall(
  sql: Sql,
  call: BoundCall,
  maxBytes: number,
  watch: Pick<Watch, 'over'>,
  session?: Session,
  preparing: Preparing = PREPARED,
): Promise<Rows> {
  try {
    if (!session) {
      const query = callQuery(sql, call, maxBytes, preparing)
      watch.over([query])
      return readResult(call, await query, maxBytes)
    }
    const { isReadOnly } = call.signature
    const query = guardedQuery(sql, call, maxBytes, preparing)
    const [result] = await inTransaction(sql, { isReadOnly, session }, [query], watch)
    return readResult(call, result, maxBytes)
  } catch (error) {
    throw await explain(sql, call, error)
  }
}

/**
 * The query of a call, not sent yet. Its result is for `readResult`. It is sent once: the driver
 * would send it again after some errors, also those of the function itself, and give the answers of
 * a pipeline to the wrong queries then.
 */
export function callQuery(
  sql: Sql,
  call: BoundCall,
  maxBytes: number,
  preparing: Preparing = PREPARED,
): Query {
  return once(sql.unsafe(statement(call, maxBytes), valuesOf(call), preparing).raw())
}

/** The same, of a call that runs in a transaction of ours or not at all. */
export function guardedQuery(
  sql: Sql,
  call: BoundCall,
  maxBytes: number,
  preparing: Preparing = PREPARED,
): Query {
  const text = statement(call, maxBytes, IS_IN_TRANSACTION)
  return once(sql.unsafe(text, valuesOf(call), preparing).raw())
}

/**
 * Reads what the query of a call gave.
 * @throws {GatewayError} function_not_found where it has not run, result_too_large
 */
export function readResult(call: BoundCall, result: unknown, maxBytes: number): Rows {
  const [[rows, count, isCurrent, took]] = result as [ResultRow]
  if (isCurrent[0] !== TRUE) throw changed(call)
  call.signature.pace.note(milliseconds(took))
  const rowCount = Number(count.toString('latin1'))
  if (rows === null && rowCount > 0) throw tooLarge(maxBytes)
  return { rows: rows ?? NO_ROWS, rowCount }
}

/** The call's SQL, made once for each function and form of its parameters. */
function statement(
  { signature, parameters }: BoundCall,
  maxBytes: number,
  onlyIf?: string,
): string {
  const { statements, isPolymorphic } = signature
  let form = onlyIf === undefined ? '' : 'in transaction\0'
  for (const { named, label, form: one, type } of parameters) {
    if (named) form += `=${label}\0`
    form += `${one}\0`
    if (isPolymorphic) form += `${type}\0`
  }
  const known = statements.get(form)
  if (known !== undefined) return known
  const text = resultSql({ signature, parameters }, maxBytes, onlyIf)
  // A caller may name any subset of the arguments with defaults.
  if (statements.size >= MAX_FORMS) statements.clear()
  statements.set(form, text)
  return text
}

/** Of an interval as PostgreSQL writes it: 00:00:00.000123. A minute stands for all that is more. */
function milliseconds(interval: Buffer): number {
  const text = interval.toString('latin1')
  return text.startsWith('00:00:') ? Number(text.slice(6)) * 1000 : 60_000
}

export function tooLarge(maxBytes: number): GatewayError {
  return new GatewayError(
    'result_too_large',
    `The rows are larger than ${maxBytes} bytes (MAX_RESULT_BYTES): ask for fewer, or for a ` +
      'stream of them with "Accept: application/x-ndjson"',
  )
}
