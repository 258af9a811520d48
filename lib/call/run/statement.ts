import { quoteIdentifier } from '../../names.ts'
import type { Statement, Value } from '../../postgres/session/query.ts'
import type { BoundCall } from '../bind/parameters.ts'
import { argumentsOf } from '../bind/sql.ts'
import type { Signature } from '../signatures/signature.ts'
import type { AnswerRoom } from './answer-room.ts'
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
export function callStatement(call: BoundCall, maxBytes: number, room?: AnswerRoom): Statement {
  // Not json_agg(r): that is a column named r, where there is one. Not octet_length: as text, JSON
  // is written out and read again.
  const text = textOf(
    call,
    'call',
    () =>
      `select case when pg_column_size(rows) <= ${maxBytes + VARLENA_HEADER} then rows end as rows, ` +
      'row_count, clock_timestamp() - statement_timestamp() as took ' +
      `from (select json_agg(r.*) as rows, count(*) as row_count from ${source(call)} as r` +
      `${nativeFormats(call)}) as result`,
  )
  return { text, values: valuesOf(call), admit: room && ((bytes) => room.admit(bytes)) }
}

/** The statement of a call whose rows come one by one: each as one JSON object, or in its columns. */
export function rowsStatement(call: BoundCall, as: 'json' | 'columns'): Statement {
  const columns = as === 'json' ? 'row_to_json(r.*) as row' : 'r.*'
  const text = textOf(
    call,
    as,
    () => `select ${columns} from ${source(call)} as r${nativeFormats(call)}`,
  )
  return { text, values: valuesOf(call) }
}

/** The text, which is written once for each function and form of its parameters. */
function textOf({ signature, parameters }: BoundCall, kind: string, write: () => string): string {
  const { isPolymorphic } = signature
  let form = kind
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
