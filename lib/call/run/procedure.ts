import { isQueryCanceled } from '../../postgres/errors.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import type {
  Column,
  Leave,
  Query,
  QueryState,
  Row,
  Statement,
  Value,
} from '../../postgres/session/query.ts'
import { ServerError } from '../../postgres/session/server-error.ts'
import type { Session } from '../../postgres/session/session.ts'
import type { BoundCall, BoundParameter } from '../bind/parameters.ts'
import { valueSql, variadicArguments } from '../bind/sql.ts'
import { FORMATS } from '../formats.ts'
import type { Output } from '../signatures/signature.ts'
import type { AnswerBudget } from './answer-budget.ts'
import { NATIVE_FORMATS_FOR_ROWS } from './formats.ts'
import { numbersAsText } from './numbers-as-text.ts'
import { conversionError } from './refusal.ts'
import { type CallRows, NO_ROWS, outputsTooLarge } from './result.ts'
import { type SendOptions, type SentCall, settingsStatement } from './send-call.ts'
import { isAsKnown } from './statement.ts'
import { checkMayBegin } from './time-limit.ts'

const FORMAT_NAMES = Object.keys(FORMATS)

const READ_FORMATS: Statement = {
  text: `select ${FORMAT_NAMES.map((name) => `pg_catalog.current_setting('${name}')`).join(', ')}`,
  values: [],
  // Not prepared: the procedure may have deallocated all statements, and no statement after it may
  // fail.
  isPrepared: false,
}

/** Its values are the row of READ_FORMATS. */
const SET_FORMATS: Statement = {
  text: `select ${FORMAT_NAMES.map((name, i) => `pg_catalog.set_config('${name}', $${i + 1}, true)`).join(', ')}`,
  values: [],
  isPrepared: false,
}

const BEGIN_READ_ONLY: Statement = { text: 'begin read only', values: [] }

/**
 * Maximum bytes beside the values of a row: for each field, and for the FORMATS that come with the
 * row.
 */
const FIELD_BYTES = 4
const BESIDE_BYTES = 1024

/**
 * Runs a procedure with CALL outside a transaction block, so that it can commit. Its result is one
 * row of its INOUT and OUT parameters. CALL returns them as text; a second query converts them to
 * JSON. Settings remain in the session, which is reset afterwards.
 */
export function sendProcedure(session: Session, options: SendOptions): SentCall {
  let query: Query | undefined
  /** The last query under the same Sync. It gets an error of the implicit commit. */
  let last: Query | undefined
  const rows = runProcedure(session, options, (...sent) => {
    query = sent[0]
    last = sent[1]
  })
  return {
    rows,
    query: {
      get state(): QueryState {
        return query?.state ?? 'queued'
      },
      get mayHaveBegun(): boolean {
        return query?.mayHaveBegun ?? false
      },
      // Never true: the commits of a procedure remain when its session is terminated.
      wasCutOff: false,
      get isSettled(): boolean {
        return last?.isSettled ?? false
      },
      get error(): Error | undefined {
        return query?.error ?? last?.error
      },
    },
  }
}

async function runProcedure(
  session: Session,
  options: SendOptions,
  onSent: (query: Query, last: Query) => void,
): Promise<CallRows> {
  const { bound, settings, maxResultBytes, mustOnlyRead, budget } = options
  // For the session, since the procedure may have several transactions.
  if (settings) await session.run(settingsStatement(settings, false)).result
  const values = await textsOf(session, bound)
  // The commits of a procedure cannot be undone.
  checkMayBegin(options)
  const { outputs } = bound.signature
  const texts = admitUpTo(maxResultBytes, outputs.length, budget)
  const explains = options.client
  const sql = { text: callSql(bound), values, describe: true, isPrepared: false }
  const statement = { ...sql, explains, ...texts }
  // Under the same Sync, READ_FORMATS sees the settings of the procedure's last transaction.
  const statements = [statement, READ_FORMATS]
  const sent = session.pipeline(mustOnlyRead ? [BEGIN_READ_ONLY, ...statements] : statements)
  const [query, formats] = sent.slice(-2) as [Query, Query]
  onSent(query, formats)
  // Within a transaction block, since a procedure could begin another transaction, which may write.
  const ended = mustOnlyRead ? session.simple('commit') : undefined
  session.flush()
  const done = Promise.all([query.result, formats.result])
  const [{ rows, columns }, written] = await done.finally(() => ended?.catch(() => {}))
  const [row] = rows
  if (!row || !columns) return { rows: NO_ROWS, rowCount: 0, tookMs: undefined }
  const given = { row, columns, formats: written.rows[0]! }
  const rendered = await render(session, outputs, given, maxResultBytes, budget)
  budget?.drop(texts.admitted())
  return numbersAsText(session, bound.numbersAsText ? columns : undefined, rendered)
}

/** Admits a row of `values` values that is not larger than `maxBytes`, within the memory budget. */
function admitUpTo(maxBytes: number, values: number, budget: AnswerBudget | undefined) {
  let admitted = 0
  return {
    admitsEach: budget?.admitsEach,
    admit: (bytes: number): Leave => {
      if (bytes > maxBytes + BESIDE_BYTES + values * FIELD_BYTES) return outputsTooLarge(maxBytes)
      admitted += bytes
      return budget?.admit(bytes) ?? true
    },
    admitted: () => admitted,
  }
}

/**
 * The output columns of a procedure as texts, and the settings with which PostgreSQL wrote them.
 */
interface Written {
  row: Row
  columns: Column[]
  /** Values of the settings, in the order of FORMATS. */
  formats: Row
}

/**
 * Converts the output texts to JSON. They are read with the settings with which they were written,
 * and rendered with FORMATS.
 */
async function render(
  session: Session,
  outputs: Output[],
  { row, columns, formats }: Written,
  maxBytes: number,
  budget: AnswerBudget | undefined,
): Promise<CallRows> {
  const types = await typesOf(session, outputs, columns)
  const fields = columns.map(({ name }, i) => `$${i + 1}::${types[i]} as ${quoteIdentifier(name)}`)
  const text =
    `select json_agg(r.*) from (select ${fields.join(', ')} offset 0) as r` +
    NATIVE_FORMATS_FOR_ROWS
  const { admit, admitsEach } = admitUpTo(maxBytes, 1, budget)
  const queries = session.pipeline([
    { ...SET_FORMATS, values: formats },
    { text, values: row, isPrepared: false, admit, admitsEach },
  ])
  session.flush()
  const [, result] = await Promise.all(queries.map(({ result }) => result))
  const [[rows]] = result!.rows as [[Buffer]]
  if (rows.length > maxBytes) throw outputsTooLarge(maxBytes)
  return { rows, rowCount: 1, tookMs: undefined }
}

/** Converts the values to text, because an argument of CALL must not be a sub-select. */
async function textsOf(session: Session, { parameters }: BoundCall): Promise<Value[]> {
  const texts: Value[] = []
  for (const parameter of parameters) {
    if (parameter.form === 'text') {
      texts.push(parameter.value)
      continue
    }
    try {
      const text = `select (${valueSql(parameter, 1)})::text`
      const query = session.run({ text, values: [parameter.value], isPrepared: false })
      session.flush()
      texts.push((await query.result).rows[0]![0]!)
    } catch (error) {
      if (!(error instanceof ServerError) || isQueryCanceled(error)) throw error
      throw conversionError(parameter, error)
    }
  }
  return texts
}

/**
 * Returns the name of each column's type. The column of a polymorphic parameter has its resolved
 * type.
 */
async function typesOf(
  session: Session,
  outputs: Output[],
  columns: Column[],
): Promise<(string | null)[]> {
  if (outputs.every(({ type }) => type !== null)) return outputs.map(({ type }) => type)
  const names = columns.map((_, i) => `format_type($${i + 1}::oid, -1)`)
  const values = columns.map(({ type }) => String(type))
  const query = session.run({ text: `select ${names.join(', ')}`, values, isPrepared: false })
  session.flush()
  return (await query.result).rows[0]!.map((name) => name!.toString())
}

/**
 * Returns `call name(…)` with `$1` for the first value and a placeholder for each OUT parameter.
 * All OUT parameters precede the first parameter with a default (PostgreSQL manual, "CREATE
 * PROCEDURE").
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
  return `/* ${signature.name} */ call ${name}(${args.join(', ')})`
}

/** Returns the arguments by position; those after an omitted one are named. */
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

/**
 * Writes arguments whose values are texts already. The first one fails before anything runs if the
 * procedure no longer exists.
 */
function argumentSql({ signature }: BoundCall) {
  const isThere = isAsKnown({ ...signature, relation: null })
  return ({ type }: BoundParameter, n: number) =>
    n === 1 ? `case when ${isThere} then $1::${type} end` : `$${n}::${type}`
}
