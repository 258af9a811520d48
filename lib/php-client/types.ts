import { baseOf, type Column, type Description, typeKey } from '../description/description.ts'
import { type ValueKind, valueKind } from '../description/value-kind.ts'

/** PHPDoc types of values in rows. */
const OUTPUT: Record<ValueKind, string> = {
  integer: 'int',
  bigint: 'int',
  numeric: 'numeric-string',
  float: 'float|int|string',
  boolean: 'bool',
  json: 'mixed',
  hstore: 'array<string, string|null>',
  bytea: 'string',
  timestamptz: 'string',
  void: "''",
  open: 'mixed',
  text: 'string',
}

/** PHP's own types of values in parameters. */
const NATIVE: Record<ValueKind, string> = {
  integer: 'int',
  bigint: 'int|string',
  numeric: 'int|float|string',
  float: 'int|float|string',
  boolean: 'bool',
  json: 'mixed',
  hstore: 'array',
  bytea: 'string',
  timestamptz: 'string|\\DateTimeInterface',
  void: 'string',
  open: 'mixed',
  text: 'string',
}

/** The types of a database in PHP. */
export class PhpTypes {
  readonly #types: Description['types']
  /** Aliases of enums and composite types, by type. */
  readonly #aliases = new Map<string, string>()

  constructor(types: Description['types']) {
    this.#types = types
    const taken = new Set<string>()
    for (const type of types.values()) {
      if (type.kind !== 'enum' && type.kind !== 'composite') continue
      const plain = pascalCase(typeKey(type))
      let alias = plain
      // PHP's own names, such as String, are not aliases.
      for (let i = 2; taken.has(alias) || RESERVED.has(alias); i++) alias = `${plain}${i}`
      taken.add(alias)
      this.#aliases.set(type.name, alias)
    }
  }

  /** Returns the lines `@phpstan-type` of all aliases. */
  aliases(): string[] {
    return [...this.#aliases].map(([name, alias]) => {
      const { labels, attributes } = this.#types.get(name)!
      const type = labels ? union(labels) : this.shape(attributes!)
      return `@phpstan-type ${alias} ${type}`
    })
  }

  /** Returns the PHPDoc type of an array with these members. */
  shape(columns: Column[]): string {
    const members = columns.map(
      ({ name, type, isNotNull }) =>
        `${/^[A-Za-z_]\w*$/.test(name) ? name : literal(name)}: ${this.doc(type, !isNotNull)}`,
    )
    return `array{${members.join(', ')}}`
  }

  /** Returns the PHPDoc type of a value. */
  doc(name: string, mayBeNull: boolean): string {
    const type = baseOf(this.#types, name)
    const text = !type ? 'mixed' : (this.#aliases.get(type.name) ?? this.#plain(type))
    return mayBeNull && text !== 'mixed' ? `${text}|null` : text
  }

  /** Returns the PHPDoc type of a parameter, which takes more than its rows give. */
  parameter(name: string, mayBeNull: boolean): string {
    const type = baseOf(this.#types, name)
    if (type?.kind === 'enum') return this.doc(name, mayBeNull)
    const isComposite = type?.kind === 'composite'
    const element = type?.kind === 'array' && type.of !== null
    const text = isComposite
      ? 'array<string, mixed>'
      : element
        ? `list<${this.parameter(type.of!, true)}>`
        : this.native(name, false)
    return mayBeNull && text !== 'mixed' ? `${text}|null` : text
  }

  /** Returns PHP's own type of a parameter. */
  native(name: string, mayBeNull: boolean): string {
    const type = baseOf(this.#types, name)
    const isArray = type?.kind === 'array' || type?.kind === 'composite'
    const text = !type ? 'mixed' : isArray ? 'array' : NATIVE[valueKind(type)]
    return mayBeNull && text !== 'mixed' ? `${text}|null` : text
  }

  #plain(type: NonNullable<ReturnType<typeof baseOf>>): string {
    return type.kind === 'array' ? `list<${this.doc(type.of!, true)}>` : OUTPUT[valueKind(type)]
  }
}

/** Returns the PHPDoc type of an enum. A docblock does not hold every label as a literal. */
function union(labels: string[]): string {
  const types = labels.map((one) => (/[\r\n]|\*\/|\?>/.test(one) ? 'string' : literal(one)))
  return [...new Set(types)].join('|') || 'never'
}

const RESERVED = new Set(
  'Array Bool Boolean Callable Closure Double False Float Int Integer Iterable List Mixed Never Null Number Object Parent Resource Scalar Self Static String True Void'.split(
    ' ',
  ),
)

/** `invoice_item` → `InvoiceItem`. */
export function pascalCase(name: string): string {
  const words = name.split(/[^A-Za-z0-9]+/).filter((word) => word !== '')
  const text = words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('')
  return /^[A-Za-z]/.test(text) ? text : `T${text}`
}

/** Returns a text for a comment, which its own end and a closing tag of PHP would end. */
export function commentText(text: string): string {
  return text.replaceAll('*/', '* /').replaceAll('?>', '? >')
}

/** Returns a text as a literal of PHP. */
export function literal(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
