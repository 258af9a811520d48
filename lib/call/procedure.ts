import { quoteIdentifier } from '../names.ts'
import type { Sql } from '../postgres/connection.ts'
import { type BoundCall, type BoundParameter, textOf } from './bind/parameters.ts'
import { isCurrent, valueSql, variadicArguments } from './bind/sql.ts'
import { changed, explain } from './explain.ts'
import { FAIL_AS_REPLACED, isReplacedError } from './replaced.ts'
import type { Session } from './request.ts'
import { NO_ROWS, type Rows, tooLarge } from './run.ts'
import type { Output } from './signature.ts'
import type { Watch } from './watch.ts'

/**
 * Unlike a prepared statement, postgres.js never sends this one again by itself: an error from
 * within the procedure can look like that of a stale statement, and what it committed is done.
 */
const ONCE = { prepare: false, simple: false }

/** What postgres.js knows of a raw result. */
interface RawResult extends Array<(Buffer | null)[]> {
  columns: { name: string; type: number }[]
}

/**
 * Runs a procedure by CALL, in no transaction but its own, so that it can commit. Its one row are
 * its INOUT and OUT parameters. CALL gives them as text, of which a query of its own makes JSON.
 * The settings of `session` are left to the connection, whose session is reset afterwards.
 * @throws {GatewayError} function_not_found and invalid_request where it has not run;
 *   result_too_large, although it has
 * @throws {PostgresError} what the procedure raised
 */
export async function runProcedure(
  sql: Sql,
  call: BoundCall,
  maxBytes: number,
  watch: Watch,
  session?: Session,
): Promise<Rows> {
  if (session) await setSession(sql, session)
  return rowsOf(sql, call, maxBytes, watch)
}

/** Not for a transaction alone, since the procedure may have several. */
async function setSession(sql: Sql, session: Session): Promise<void> {
  const calls = session.map((_, i) => `set_config($${2 * i + 1}, $${2 * i + 2}, false)`)
  await sql.unsafe(`select ${calls.join(', ')}`, session.flat(), ONCE)
}

async function rowsOf(sql: Sql, call: BoundCall, maxBytes: number, watch: Watch): Promise<Rows> {
  const values = await textsOf(sql, call)
  const [row, columns] = await callRow(sql, call, values, watch)
  if (!row) return { rows: NO_ROWS, rowCount: 0 }
  const types = await typesOf(sql, call.signature.outputs, columns)
  const fields = columns.map(({ name }, i) => `$${i + 1}::${types[i]} as ${quoteIdentifier(name)}`)
  const [result] = await sql
    .unsafe(`select json_agg(r.*) from (select ${fields.join(', ')}) as r`, row, ONCE)
    .raw()
  const [rows] = result as unknown as [Buffer]
  if (rows.length > maxBytes) throw tooLarge(maxBytes)
  return { rows, rowCount: 1 }
}

/** The values as texts of their types: an argument of CALL must not be a sub-select. */
async function textsOf(sql: Sql, call: BoundCall): Promise<(string | null)[]> {
  const texts: (string | null)[] = []
  for (const parameter of call.parameters) {
    texts.push(
      parameter.form === 'text' ? textOf(parameter.value) : await converted(sql, call, parameter),
    )
  }
  return texts
}

async function converted(sql: Sql, call: BoundCall, parameter: BoundParameter): Promise<string> {
  try {
    const [row] = await sql.unsafe(`select (${valueSql(parameter, 1)})::text as value`, [
      textOf(parameter.value),
    ])
    return row!.value
  } catch (error) {
    throw await explain(sql, { ...call, parameters: [parameter] }, error)
  }
}

/** The row that a CALL answers, if any, as text, and its columns. */
async function callRow(
  sql: Sql,
  call: BoundCall,
  values: (string | null)[],
  watch: Watch,
): Promise<[row: (string | null)[] | undefined, columns: RawResult['columns']]> {
  try {
    const query = sql.unsafe(callSql(call), values, ONCE).raw()
    watch.over([query])
    const result = (await query) as unknown as RawResult
    return [result[0]?.map((value) => value?.toString('utf8') ?? null), result.columns]
  } catch (error) {
    if (isReplacedError(error)) throw changed(call)
    throw await explain(sql, call, error)
  }
}

/** The name of each column's type. A polymorphic one has become another than the declared one. */
async function typesOf(
  sql: Sql,
  outputs: Output[],
  columns: RawResult['columns'],
): Promise<string[]> {
  if (columns.every(({ type }, i) => outputs[i]?.oid === type)) {
    return outputs.map(({ type }) => type!)
  }
  const names = columns.map((_, i) => `format_type($${i + 1}::oid, -1)`)
  const [row] = await sql.unsafe(
    `select array_to_json(array[${names.join(', ')}]) as types`,
    columns.map(({ type }) => String(type)),
    ONCE,
  )
  return row!.types
}

/**
 * `call name(…)` with `$1` for the first value, and something in the place of each OUT parameter,
 * all of which stand before the first with a default (PostgreSQL manual, "CREATE PROCEDURE").
 */
function callSql(call: BoundCall): string {
  const { signature } = call
  const given = variadicArguments(call, argumentSql(call)) ?? namedArguments(call)
  const args: string[] = []
  for (let i = 0; i <= given.length; i++) {
    for (const output of signature.outputs) {
      if (output.place === i) args.push(output.type ? `null::${output.type}` : 'null')
    }
    if (i < given.length) args.push(given[i]!)
  }
  const name = `${quoteIdentifier(signature.schema)}.${quoteIdentifier(signature.name)}`
  return `call ${name}(${args.join(', ')})`
}

/** The arguments by their positions; those behind one that is left out have to be named. */
function namedArguments(call: BoundCall): string[] {
  const { signature, parameters } = call
  const value = argumentSql(call)
  let isBehindGap = false
  return parameters.map((parameter, i) => {
    isBehindGap ||= parameter.argument !== signature.arguments[i]
    const name = isBehindGap ? `${quoteIdentifier(parameter.label)} => ` : ''
    return name + value(parameter, i + 1)
  })
}

/** Values that are texts already; the first fails where the procedure is another by now. */
function argumentSql(call: BoundCall) {
  return (parameter: BoundParameter, n: number) =>
    n === 1 ? guarded(call, parameter) : `$${n}::${parameter.type}`
}

/** The first value; an error before anything has run where the procedure is another by now. */
function guarded(call: BoundCall, { type }: BoundParameter): string {
  return `case when ${isCurrent(call)} then $1::${type} else ${FAIL_AS_REPLACED}::${type} end`
}
