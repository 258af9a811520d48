import type { Node, RangeVar, TypeName } from 'libpg-query'
import { quoteIdentifier } from '../../postgres/quote.ts'

/** A name that a statement has, with or without a schema. */
export interface Name {
  schemaname?: string
  relname?: string
}

/** A type that a statement names. */
export interface TypeText {
  /** As SQL writes it, without length or precision: what to_regtype takes. */
  name: string
  /** Length, or precision and scale; undefined where they are something else (`interval year`). */
  modifiers: number[] | undefined
}

/** INTERVAL_FULL_RANGE (timestamp.h): an interval with a precision alone. */
const ALL_FIELDS = 0x7fff

export function nameOf(schema: string | null, name: string): Name {
  return schema === null ? { relname: name } : { schemaname: schema, relname: name }
}

/** As SQL writes the name. */
export function sqlName({ schemaname, relname = '' }: Name | RangeVar): string {
  return (schemaname ? `${quoteIdentifier(schemaname)}.` : '') + quoteIdentifier(relname)
}

/** The parts of an object's name in a DROP. */
export function namesOf(object: Node): string[] {
  if ('List' in object) return strings(object.List.items)
  if ('TypeName' in object) return strings(object.TypeName.names)
  return strings([object])
}

/**
 * A function, procedure or aggregate that a DROP names, as JSON: `schema` (null: by search_path),
 * `name` and `args` (types for to_regtype; null where it has to be the only one of its name).
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
