import type { Node, RangeVar, TypeName } from 'libpg-query'
import { quoteIdentifier } from '../../postgres/quote.ts'

/** A name in a statement, with or without a schema. */
export interface Name {
  schemaname?: string
  relname?: string
}

/** A type in a statement. */
export interface TypeText {
  /** Quoted name without length or precision, in the form of to_regtype. */
  name: string
  /** Length, or precision and scale; undefined for other modifiers (`interval year`). */
  modifiers: number[] | undefined
}

/** INTERVAL_FULL_RANGE (source: utils/timestamp.h): an interval with a precision only. */
const ALL_FIELDS = 0x7fff

export function nameOf(schema: string | null, name: string): Name {
  return schema === null ? { relname: name } : { schemaname: schema, relname: name }
}

/** Returns the quoted name, with its schema if there is one. */
export function sqlName({ schemaname, relname = '' }: Name | RangeVar): string {
  return (schemaname ? `${quoteIdentifier(schemaname)}.` : '') + quoteIdentifier(relname)
}

/** Returns the parts of an object's name in a DROP. */
export function namesOf(object: Node): string[] {
  if ('List' in object) return strings(object.List.items)
  if ('TypeName' in object) return strings(object.TypeName.names)
  return strings([object])
}

/**
 * Returns a function, procedure or aggregate in a DROP as JSON: `schema` (null for search_path),
 * `name` and `args` (types in the form of to_regtype; null if the statement gives none, so that the
 * name must be unique).
 */
export function routineText(object: Node): string {
  const {
    objname,
    objargs = [],
    args_unspecified,
  } = 'ObjectWithArgs' in object ? object.ObjectWithArgs : {}
  const [name = '', schema = null] = strings(objname).reverse()
  const args = objargs.map((one) => ('TypeName' in one ? typeOf(one.TypeName).name : ''))
  return JSON.stringify({ schema, name, args: args_unspecified ? null : args })
}

export function strings(nodes: Node[] | undefined): string[] {
  return (nodes ?? []).flatMap((node) => ('String' in node ? (node.String.sval ?? '') : []))
}

export function typeOf({ names, typmods = [], arrayBounds = [] }: TypeName): TypeText {
  const parts = strings(names)
  const numbers = typmods.map((node) =>
    'A_Const' in node ? (node.A_Const.ival ? (node.A_Const.ival.ival ?? 0) : undefined) : undefined,
  )
  const isInterval = parts.at(-1) === 'interval' && numbers.length > 0
  const modifiers = isInterval
    ? numbers[0] === ALL_FIELDS
      ? numbers.slice(1)
      : [undefined]
    : numbers
  return {
    name: parts.map(quoteIdentifier).join('.') + (arrayBounds.length > 0 ? '[]' : ''),
    modifiers: modifiers.includes(undefined) ? undefined : (modifiers as number[]),
  }
}
