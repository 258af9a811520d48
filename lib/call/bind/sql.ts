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
  const { signature } = call
  const name = `${quoteIdentifier(signature.schema)}.${quoteIdentifier(signature.name)}`
  // A void function in LANGUAGE sql gives null where one in PL/pgSQL gives ''.
  const columns = signature.returnsVoid ? `'' as ${quoteIdentifier(signature.name)}` : '*'
  const args = argumentsOf(call)
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

function argumentsOf(call: BoundCall): string {
  const args =
    variadicArguments(call, valueSql) ??
    call.parameters.map((parameter, i) => {
      const named = parameter.named ? `${quoteIdentifier(parameter.label)} => ` : ''
      return named + valueSql(parameter, i + 1)
    })
  return args.join(', ')
}

/**
 * The arguments of a VARIADIC function by their positions; undefined for any other. PostgreSQL finds
 * it neither by names without the VARIADIC one nor by that one where others are left out, so that
 * those are given their defaults.
 */
export function variadicArguments(
  { signature, parameters }: BoundCall,
  write: (parameter: BoundParameter, n: number) => string,
): string[] | undefined {
  if (!signature.variadic) return undefined
  const places = new Map(parameters.map(({ argument }, i) => [argument, i]))
  const isPrefix = parameters.every(({ argument }, i) => argument === signature.arguments[i])
  const given = isPrefix ? signature.arguments.slice(0, parameters.length) : signature.arguments
  return given.map((argument) => {
    const i = places.get(argument)
    const value = i === undefined ? `(${argument.default})` : write(parameters[i]!, i + 1)
    return argument === signature.arguments.at(-1) ? `variadic ${value}` : value
  })
}

/**
 * The value `$n` as its type. A JSON array or object for an array or composite type is taken apart
 * by PostgreSQL itself (json_to_record: nested arrays, composites, domains; numbers digit for
 * digit).
 */
export function valueSql({ form, type, label, argument }: BoundParameter, n: number): string {
  switch (form) {
    case 'text':
      return `$${n}::${type}`
    case 'string':
      return `($${n}::json #>> '{}')::${type}`
    case 'numeric':
      return `$${n}::numeric::${type}`
    case 'record':
      return fieldSql(`$${n}::json`, quoteIdentifier(label), type)
    case 'numeric[]':
      return `${fieldSql(`$${n}::json`, quoteIdentifier(label), form)}::${type}`
    case 'json[]':
      // Each as the text it has; an array within is no further dimension.
      return elementsSql(
        n,
        `case json_typeof(element) when 'null' then null else element::text end`,
        type,
      )
    case 'hstore':
      return hstoreSql(n, type)
    case 'array[]': {
      const record = `json_build_object('element', element)`
      return elementsSql(n, `${fieldSql(record, 'element', argument.element!)}::text`, type)
    }
  }
}

/**
 * An hstore of the members of the JSON object `$n`, of which the last of each key counts (PostgreSQL
 * manual, "hstore External Representation").
 */
function hstoreSql(n: number, type: string): string {
  const quoted = (text: string) =>
    `'"' || replace(replace(${text}, '\\', '\\\\'), '"', '\\"') || '"'`
  const pair = `${quoted('key')} || '=>' || coalesce(${quoted('value')}, 'NULL')`
  return (
    `(select coalesce(string_agg(${pair}, ','), '')::${type} from (` +
    'select distinct on (key) key, value ' +
    `from json_each_text($${n}::json) with ordinality as m (key, value, place) ` +
    'order by key, place desc) as pairs)'
  )
}

/** The one field of a JSON object, as its type. */
function fieldSql(json: string, key: string, type: string): string {
  return `(select ${key} from json_to_record(${json}) as r (${key} ${type}))`
}

/** An array of the values that have these texts, one for each element of the JSON array `$n`. */
function elementsSql(n: number, text: string, type: string): string {
  return (
    `(select coalesce(array_agg(${text} order by place), '{}')::${type} ` +
    `from json_array_elements($${n}::json) with ordinality as e (element, place))`
  )
}
