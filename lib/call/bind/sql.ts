import { quoteIdentifier } from '../../names.ts'
import { FAIL_AS_REPLACED } from '../replaced.ts'
import type { BoundCall, BoundParameter } from './parameters.ts'

/** Bytes before those of a value in memory (PostgreSQL source, varatt.h: VARHDRSZ). */
const VARLENA_HEADER = 4

/**
 * The SQL of a call, `$1` for its first value. PostgreSQL renders the rows. The columns of its one
 * row:
 * - `rows`: a JSON array; null where there are none, or where it has more than `maxBytes`,
 * - `row_count`: their number,
 * - `is_current`: false, and nothing has run, where the function is not that of the signature, or
 *   where `onlyIf` is false,
 * - `took`: an interval, from the start of the statement.
 */
export function resultSql(call: BoundCall, maxBytes: number, onlyIf?: string): string {
  const mayRun = onlyIf === undefined ? isCurrent(call) : `${isCurrent(call)} and ${onlyIf}`
  // Not json_agg(r): that is a column named r, where there is one. Not octet_length: as text, JSON
  // is written out and read again.
  return (
    `select case when pg_column_size(rows) <= ${maxBytes + VARLENA_HEADER} then rows end as rows, ` +
    'row_count, is_current, clock_timestamp() - statement_timestamp() as took ' +
    `from (select json_agg(r.*) as rows, count(*) as row_count, ${mayRun} as is_current ` +
    `from ${source(call, mayRun)} as r) as result`
  )
}

/**
 * The SQL of a call whose rows come one by one: each as one JSON object, or in its own columns. Where
 * the function is not that of the signature, nothing runs: see FAIL_AS_REPLACED.
 */
export function rowsSql(call: BoundCall, as: 'json' | 'columns'): string {
  const guard = `case when ${isCurrent(call)} then true else ${FAIL_AS_REPLACED} is null end`
  const columns = as === 'json' ? 'row_to_json(r.*) as row' : 'r.*'
  return `select ${columns} from ${source(call, guard)} as r`
}

/** What gives the rows of a call, as a sub-select without a name. */
function source(call: BoundCall, mayRun: string): string {
  const { signature, parameters } = call
  const name = `${quoteIdentifier(signature.schema)}.${quoteIdentifier(signature.name)}`
  // A void function in LANGUAGE sql gives null where one in PL/pgSQL gives ''.
  const columns = signature.returnsVoid ? `'' as ${quoteIdentifier(signature.name)}` : '*'
  const args = parameters.map(argument).join(', ')
  return `(select ${columns} from ${name}(${args}) where ${mayRun})`
}

/**
 * Costs nothing: PostgreSQL knows the answer when it parses the statement, which it does again
 * when the function is dropped. A function that has taken the place of this one does not run.
 */
export function isCurrent({ signature }: BoundCall): string {
  const identity = signature.identity.replaceAll("'", "''")
  const isSame = `'${identity}'::regprocedure = ${signature.oid}::oid`
  // To be named is what makes it parse the statement again when a column is added.
  return signature.relation ? `${isSame} and '${signature.relation}'::regclass is not null` : isSame
}

function argument(parameter: BoundParameter, i: number): string {
  const variadic = parameter.variadic ? 'variadic ' : ''
  const named = parameter.named ? `${quoteIdentifier(parameter.label)} => ` : ''
  return variadic + named + valueSql(parameter, i + 1)
}

/**
 * The value `$n` as its type. A JSON array or object for an array or composite type is taken apart
 * by PostgreSQL itself (json_to_record: nested arrays, composites, domains; numbers digit for
 * digit).
 */
export function valueSql({ form, type, label }: BoundParameter, n: number): string {
  if (form === 'text') return `$${n}::${type}`
  if (form !== 'record') return `$${n}::${form}::${type}`
  const key = quoteIdentifier(label)
  return `(select ${key} from json_to_record($${n}::json) as r (${key} ${type}))`
}
