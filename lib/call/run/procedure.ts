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
  // Nothing may fail behind the procedure, which may have deallocated all statements.
  isPrepared: false,
}

/** Its values are what READ_FORMATS gave. */
const SET_FORMATS: Statement = {
  text: `select ${FORMAT_NAMES.map((name, i) => `pg_catalog.set_config('${name}', $${i + 1}, true)`).join(', ')}`,
  values: [],
  isPrepared: false,
}

/** What may be read beside one value of a row, and beside the row: formats are. At most, in bytes. */
const FIELD_BYTES = 4
const BESIDE_BYTES = 1024

/**
 * Runs a procedure by CALL, in no transaction but its own, so that it can commit. Its one row are
 * its INOUT and OUT parameters. CALL gives them as text, of which a query of its own makes JSON.
 * Settings are left to the session, which is reset afterwards.
 */
export function sendProcedure(session: Session, options: SendOptions): SentCall {
  let query: Query | undefined
  /** The last behind the same Sync: an error of the commit is its error. */
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
      // What it has committed stays.
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
  const { bound, settings, maxResultBytes, budget } = options
  // Not for a transaction alone, since the procedure may have several.
  if (settings) await session.run(settingsStatement(settings, false)).result
  const values = await textsOf(session, bound)
  // What a procedure has committed cannot be taken back.
  checkMayBegin(options)
  const { outputs } = bound.signature
  const texts = admitUpTo(maxResultBytes, outputs.length, budget)
  const statement = { text: callSql(bound), values, describe: true, isPrepared: false, ...texts }
  // Behind the same Sync, it sees what the procedure has set for its last transaction.
  const [query, formats] = session.pipeline([statement, READ_FORMATS]) as [Query, Query]
  onSent(query, formats)
  session.flush()
  const [{ rows, columns }, written] = await Promise.all([query.result, formats.result])
  const [row] = rows
  if (!row || !columns) return { rows: NO_ROWS, rowCount: 0, tookMs: undefined }
  const given = { row, columns, formats: written.rows[0]! }
  const rendered = await render(session, outputs, given, maxResultBytes, budget)
  budget?.drop(texts.admitted())
  return numbersAsText(session, bound.numbersAsText ? columns : undefined, rendered)
}

/** Reads a row of so many values where they are no larger than `maxBytes` and there is room. */
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

/** The columns of a procedure as texts, and the settings with which they were written. */
interface Written {
  row: Row
  columns: Column[]
  /** In the order of FORMATS. */
  formats: Row
}

/**
 * Makes JSON of the texts. They are read with the settings with which they were written, and rendered
 * with those of the contract.
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

/** The values as texts of their types: an argument of CALL must not be a sub-select. */
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

/** The name of each column's type. A polymorphic one has become another than the declared one. */
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
  return `/* ${signature.name} */ call ${name}(${args.join(', ')})`
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

/**
 * Values that are texts already. The first is an error before anything has run where there is no such
 * procedure any more.
 */
function argumentSql({ signature }: BoundCall) {
  const isThere = isAsKnown({ ...signature, relation: null })
  return ({ type }: BoundParameter, n: number) =>
    n === 1 ? `case when ${isThere} then $1::${type} end` : `$${n}::${type}`
}
