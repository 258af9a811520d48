import { quoteIdentifier } from '../../postgres/quote.ts'
import type { PlanSink } from '../../postgres/session/plans.ts'
import type { Column, Result, Statement, Value } from '../../postgres/session/query.ts'

import type { BoundCall } from '../bind/parameters.ts'
import { argumentsOf } from '../bind/sql.ts'
import type { Signature } from '../signatures/signature.ts'
import type { AnswerBudget } from './answer-budget.ts'
import { LOCAL_FORMATS_FOR_ROWS, NATIVE_FORMATS_FOR_ROWS } from './formats.ts'

/** Bytes of the header of a value in memory (PostgreSQL source, varatt.h: VARHDRSZ). */
const VARLENA_HEADER = 4

/**
 * Maximum number of cached statement texts of one function, one for each combination of parameter
 * forms.
 */
const MAX_FORMS = 100

/** Statement texts of each function, by the forms of its parameters. */
const textsOf = new WeakMap<Signature, Map<string, string>>()

/**
 * Returns the statement of a call. It gives one row, which `readResult` reads:
 * - a JSON array of the rows; null if there are none, or if it exceeds `maxBytes`,
 * - the number of rows,
 * - an interval, from the start of the statement.
 *
 * PostgreSQL resolves the function by its name and the casts to the declared types.
 */
export function callStatement(
  call: BoundCall,
  maxBytes: number,
  budget?: AnswerBudget,
  explains?: PlanSink,
): Statement {
  // Not json_agg(r), which means a column named r if there is one. Not octet_length, which converts
  // the JSON to text first.
  const text = textOf(call, 'call', () => {
    const { before, rows, columns, beside } = rowsOf(call)
    return (
      `${before}select ` +
      `case when pg_column_size(result.rows) <= ${maxBytes + VARLENA_HEADER} then result.rows end ` +
      `as rows, result.row_count, clock_timestamp() - statement_timestamp() as took${columns} ` +
      `from (select json_agg(r.*) as rows, count(*) as row_count from ${rows} as r` +
      `${nativeFormats(call)}) as result${beside}`
    )
  })
  return {
    text,
    values: valuesOf(call),
    describe: call.numbersAsText ?? false,
    admit: budget && ((bytes) => budget.admit(bytes)),
    admitsEach: budget?.admitsEach,
    explains,
  }
}

/**
 * Returns the columns of the function's rows, which follow those of the statement; undefined if the
 * statement was not described.
 */
export function columnsOfCall({ columns }: Result): Column[] | undefined {
  return columns?.slice(CALL_COLUMNS)
}

/** rows, row_count, took. */
const CALL_COLUMNS = 3

/** Returns the statement of a streamed call: each row as one JSON object, or in its columns. */
export function rowsStatement(call: BoundCall, as: 'json' | 'columns'): Statement {
  const text = textOf(call, as, () => {
    if (as === 'columns') return `select r.* from ${source(call)} as r${nativeFormats(call)}`
    const { before, rows, columns, beside } = rowsOf(call)
    const row = `row_to_json(r.*) as row${columns}`
    return `${before}select ${row} from ${rows} as r${nativeFormats(call)}${beside}`
  })
  return { text, values: valuesOf(call) }
}

/**
 * Returns the rows of a call for a FROM clause. If numbers are wanted as text, the statement also
 * has the columns of the rows. They are all null, but PostgreSQL describes them with their resolved
 * types, including those of polymorphic results.
 */
function rowsOf(call: BoundCall): {
  before: string
  rows: string
  columns: string
  beside: string
} {
  if (!call.numbersAsText) return { before: '', rows: source(call), columns: '', beside: '' }
  return {
    before: `with given as materialized ${source(call)} `,
    rows: 'given',
    columns: ', described.*',
    beside: ' left join (select * from given limit 0) as described on true',
  }
}

/**
 * Returns the cached text, or writes it: once for each function and combination of parameter forms.
 */
function textOf(call: BoundCall, kind: string, write: () => string): string {
  const { signature, parameters, numbersAsText } = call
  const { isPolymorphic } = signature
  let form = numbersAsText ? `${kind} as text` : kind
  for (const { named, label, form: one, type } of parameters) {
    form += named ? `\0${one}=${label}` : `\0${one}`
    if (isPolymorphic) form += `:${type}`
  }
  let texts = textsOf.get(signature)
  if (!texts) {
    texts = new Map()
    textsOf.set(signature, texts)
  }
  const known = texts.get(form)
  if (known !== undefined) return known
  // pg_stat_activity shows the name first.
  const text = `/* ${signature.name} */ ${write()}`
  // The number of forms is unbounded in practice: a caller may name any subset of the arguments
  // with defaults.
  if (texts.size >= MAX_FORMS) texts.clear()
  texts.set(form, text)
  return text
}

function valuesOf({ parameters }: BoundCall): Value[] {
  return parameters.map(({ value }) => value)
}

/** Returns the sub-select, without alias, that gives the rows of a call. */
function source(call: BoundCall): string {
  const { schema, name, returnsVoid } = call.signature
  // A void function in LANGUAGE sql returns null, one in PL/pgSQL returns ''.
  const columns = returnsVoid ? `'' as ${quoteIdentifier(name)}` : '*'
  return `(select ${columns} from ${quoteIdentifier(schema)}.${quoteIdentifier(name)}(${argumentsOf(call)}) where ${isAsKnown(call.signature)})`
}

/**
 * Returns a condition that costs nothing at run time: PostgreSQL evaluates it when it parses the
 * statement, and parses again when the function or relation has changed. If the function no longer
 * exists, and another one would accept the values by a cast, the statement fails before anything
 * runs. The relation is named so that PostgreSQL replans the statement when the relation gets a
 * column.
 */
export function isAsKnown({ identity, relation }: Signature): string {
  const isThere = `'${identity.replaceAll("'", "''")}'::regprocedure is not null`
  return relation
    ? `${isThere} and '${relation.replaceAll("'", "''")}'::regclass is not null`
    : isThere
}

/**
 * Returns SQL that restores FORMATS after a function that may have changed them. PostgreSQL
 * computes all rows of a function before it processes the first one.
 */
function nativeFormats({ signature }: BoundCall): string {
  const { altersFormats, afterwards } = signature.verdict
  if (!altersFormats) return ''
  return afterwards === 'keep' ? LOCAL_FORMATS_FOR_ROWS : NATIVE_FORMATS_FOR_ROWS
}
