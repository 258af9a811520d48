import { quoteIdentifier } from '../../postgres/quote.ts'
import type { Column, Result, Statement, Value } from '../../postgres/session/query.ts'

import type { BoundCall } from '../bind/parameters.ts'
import { argumentsOf } from '../bind/sql.ts'
import type { Signature } from '../signatures/signature.ts'
import type { AnswerBudget } from './answer-budget.ts'
import { LOCAL_FORMATS_FOR_ROWS, NATIVE_FORMATS_FOR_ROWS } from './formats.ts'

/** Bytes before those of a value in memory (PostgreSQL source, varatt.h: VARHDRSZ). */
const VARLENA_HEADER = 4

/** Texts that are kept for the forms in which the parameters of one function come. */
const MAX_FORMS = 100

/** The texts of each function, by the form of its parameters. */
const textsOf = new WeakMap<Signature, Map<string, string>>()

/**
 * The statement of a call; see `readResult` for its one row:
 * - a JSON array of the rows; null where there are none, or where it has more than `maxBytes`,
 * - their number,
 * - an interval, from the start of the statement.
 *
 * PostgreSQL resolves the function by its name and the casts to the declared types.
 */
export function callStatement(call: BoundCall, maxBytes: number, budget?: AnswerBudget): Statement {
  // Not json_agg(r): that is a column named r, where there is one. Not octet_length: as text, JSON
  // is written out and read again.
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
  }
}

/** The columns of what a call gave, behind those of its statement; undefined where nothing asks. */
export function columnsOfCall({ columns }: Result): Column[] | undefined {
  return columns?.slice(CALL_COLUMNS)
}

/** rows, row_count, took. */
const CALL_COLUMNS = 3

/** The statement of a call whose rows come one by one: each as one JSON object, or in its columns. */
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
 * The rows of a call, for a `from`. Where numbers are wanted as text, the statement has the columns of
 * the rows beside its own: all null, but PostgreSQL describes them with the types that it has found
 * itself, those of polymorphic results, too.
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

/** The text, which is written once for each function and form of its parameters. */
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
  // The name is what pg_stat_activity shows first.
  const text = `/* ${signature.name} */ ${write()}`
  // A caller may name any subset of the arguments with defaults.
  if (texts.size >= MAX_FORMS) texts.clear()
  texts.set(form, text)
  return text
}

function valuesOf({ parameters }: BoundCall): Value[] {
  return parameters.map(({ value }) => value)
}

/** What gives the rows of a call, as a sub-select without a name. */
function source(call: BoundCall): string {
  const { schema, name, returnsVoid } = call.signature
  // A void function in LANGUAGE sql gives null where one in PL/pgSQL gives ''.
  const columns = returnsVoid ? `'' as ${quoteIdentifier(name)}` : '*'
  return `(select ${columns} from ${quoteIdentifier(schema)}.${quoteIdentifier(name)}(${argumentsOf(call)}) where ${isAsKnown(call.signature)})`
}

/**
 * A condition that costs nothing, since PostgreSQL works it out when it parses the statement, which
 * it does again when the function or the relation has changed. Where there is no such function any
 * more, but one that would take the values by a cast, it is an error before anything runs. A relation
 * has to be named for the statement to be planned anew when it gets a column.
 */
export function isAsKnown({ identity, relation }: Signature): string {
  const isThere = `'${identity.replaceAll("'", "''")}'::regprocedure is not null`
  return relation
    ? `${isThere} and '${relation.replaceAll("'", "''")}'::regclass is not null`
    : isThere
}

/**
 * Puts back how values are written, where the function may have changed that: PostgreSQL has all rows
 * of a function before it goes on with the first.
 */
function nativeFormats({ signature }: BoundCall): string {
  const { altersFormats, afterwards } = signature.verdict
  if (!altersFormats) return ''
  return afterwards === 'keep' ? LOCAL_FORMATS_FOR_ROWS : NATIVE_FORMATS_FOR_ROWS
}
