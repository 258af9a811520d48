import { quoteIdentifier } from '../../postgres/quote.ts'

import type { BoundCall, BoundParameter } from './parameters.ts'

/** Returns the argument list of a call in SQL; `$1` is the first value. */
export function argumentsOf(call: BoundCall): string {
  const args =
    variadicArguments(call, valueSql) ??
    call.parameters.map((parameter, i) => {
      const named = parameter.named ? `${quoteIdentifier(parameter.label)} => ` : ''
      return named + valueSql(parameter, i + 1)
    })
  return args.join(', ')
}

/**
 * Returns the arguments of a VARIADIC function by position; undefined for any other function.
 * PostgreSQL resolves such a call by name neither without the VARIADIC argument nor if others are
 * omitted, so omitted arguments are written as their defaults.
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
 * Returns SQL that converts `$n` to the parameter's type. json_to_record takes a JSON array or
 * object apart for an array or composite type: nested arrays, composites and domains, and numbers
 * digit for digit.
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
      // Each element is one json value: a nested array is not a further dimension.
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
 * Returns SQL that builds an hstore from the JSON object `$n`. Of several members with the same key
 * the last one counts (PostgreSQL manual, "hstore External Representation").
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

/** Returns SQL for the one field of a JSON object, converted to the type. */
function fieldSql(json: string, key: string, type: string): string {
  return `(select ${key} from json_to_record(${json}) as r (${key} ${type}))`
}

/**
 * Returns SQL for an array with one value for each element of the JSON array `$n`.
 * @param text SQL expression that gives the text of `element`
 */
function elementsSql(n: number, text: string, type: string): string {
  return (
    `(select coalesce(array_agg(${text} order by place), '{}')::${type} ` +
    `from json_array_elements($${n}::json) with ordinality as e (element, place))`
  )
}
