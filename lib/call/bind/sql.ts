import { quoteIdentifier } from '../../postgres/quote.ts'

import type { BoundCall, BoundParameter } from './parameters.ts'

/** The arguments of a call as SQL writes them, `$1` for the first value. */
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
