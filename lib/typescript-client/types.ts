import {
  baseOf,
  type Column,
  type Description,
  isNamed,
  type TypeDescription,
  typeKey,
} from '../description/description.ts'
import { type ValueKind, valueKind } from '../description/value-kind.ts'

/** TypeScript of values in rows. */
const OUTPUT: Record<ValueKind, string> = {
  integer: 'number',
  bigint: 'Int8',
  numeric: 'string',
  float: 'Float8',
  boolean: 'boolean',
  json: 'Json',
  hstore: 'Record<string, string | null>',
  bytea: 'string',
  timestamptz: 'string',
  void: "''",
  open: 'Json',
  text: 'string',
}

/** TypeScript of values in parameters. */
const INPUT: Record<ValueKind, string> = {
  ...OUTPUT,
  bigint: 'number | bigint | string',
  numeric: 'number | bigint | string',
  json: 'unknown',
  bytea: 'Uint8Array | string',
  timestamptz: 'Date | string',
  open: 'unknown',
}

/** The types of a database in TypeScript. */
export class TypeScriptTypes {
  readonly #types: Description['types']
  /** Composite types that parameters need. */
  readonly inputs = new Set<string>()

  constructor(types: Description['types']) {
    this.#types = types
  }

  /** Returns the type of a value in a row. */
  output(name: string, mayBeNull: boolean): string {
    const type = this.#types.get(name)
    return orNull(type ? this.#output(type) : 'Json', mayBeNull)
  }

  /** Returns the type of a value in a parameter. */
  input(name: string, mayBeNull: boolean): string {
    const type = baseOf(this.#types, name)
    return orNull(type ? this.#input(type) : 'unknown', mayBeNull)
  }

  /** Returns what the interfaces `Types` and `Tables` have for a type. */
  definition(type: TypeDescription): string {
    if (type.kind === 'enum') return type.labels!.map(quoted).join(' | ') || 'never'
    if (type.kind === 'domain') return this.output(type.of!, false)
    return this.object(type.attributes!)
  }

  /** Returns what the interface `Inputs` has for a composite type. */
  inputDefinition(name: string): string {
    const members = this.#types
      .get(name)!
      .attributes!.map((one) => `${key(one.name)}?: ${this.input(one.type, !one.isNotNull)}`)
    return braces(members)
  }

  /** Returns an object type with these members; those of `open` may be anything. */
  object(columns: Column[], open: Set<string> = new Set()): string {
    if (columns.length === 0) return 'Record<string, never>'
    const members = columns.map((one) => {
      const type = open.has(one.name) ? 'Json' : this.output(one.type, !one.isNotNull)
      return `${comment(one.about)}${key(one.name)}: ${type}`
    })
    return braces(members)
  }

  #output(type: TypeDescription): string {
    if (type.kind === 'array') return `(${this.output(type.of!, true)})[]`
    if (!isNamed(type)) return OUTPUT[valueKind(type)]
    return `${type.relation === null ? 'Types' : 'Tables'}[${quoted(typeKey(type))}]`
  }

  #input(type: TypeDescription): string {
    if (type.kind === 'array') return `readonly (${this.input(type.of!, true)})[]`
    if (type.kind === 'enum') return `Types[${quoted(typeKey(type))}]`
    if (type.kind !== 'composite') return INPUT[valueKind(type)]
    this.inputs.add(type.name)
    return `Inputs[${quoted(typeKey(type))}]`
  }
}

/** Returns a name as the key of a member. */
export function key(name: string): string {
  return isIdentifier(name) ? name : quoted(name)
}

/** Whether a name can stand without quotes. */
export function isIdentifier(name: string): boolean {
  return /^[A-Za-z_$][\w$]*$/.test(name)
}

const RESERVED = new Set(
  (
    'break case catch class const continue debugger default delete do else enum export extends finally for if ' +
    'implements import in instanceof interface let package private protected public return static super switch ' +
    'throw try var while with yield'
  ).split(' '),
)

/** Returns a name as the label of an element of a tuple: no reserved word, which a label must not be. */
export function label(name: string): string {
  return RESERVED.has(name) ? `${name}_` : name
}

/** Returns a text as a literal. */
export function quoted(text: string): string {
  const inside = JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")
  return `'${inside.replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')}'`
}

/** Returns a text as a comment before a member; '' for an empty one. */
export function comment(text: string): string {
  // A comment cannot hold its own end.
  const lines = text
    .trim()
    .replaceAll('*/', '* /')
    .split(/\s*[\r\n\u2028\u2029]+\s*/)
  if (lines.length > 1) return `/**\n${lines.map((line) => ` * ${line}\n`).join('')} */\n`
  return text.trim() === '' ? '' : `/** ${lines[0]} */\n`
}

/** Largest number of characters of an object type on one line. */
const LINE = 80

/** Returns an object type with these members: on one line if they are few. */
export function braces(members: string[]): string {
  const line = `{ ${members.join('; ')} }`
  if (line.length <= LINE && !line.includes('\n')) return line
  return `{\n${indented(members.join('\n'))}\n}`
}

/** Returns a tuple type of these elements: on one line if they are few. */
export function brackets(elements: string[]): string {
  const line = `[${elements.join(', ')}]`
  return line.length <= LINE ? line : `[\n${indented(`${elements.join(',\n')},`)}\n]`
}

/** Indents each line. */
export function indented(text: string): string {
  return text.replaceAll(/^(?=.)/gm, '  ')
}

function orNull(type: string, mayBeNull: boolean): string {
  return mayBeNull && type !== 'unknown' && type !== 'Json' ? `${type} | null` : type
}
