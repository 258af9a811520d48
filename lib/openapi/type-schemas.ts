import {
  type Column,
  type Description,
  isNamed,
  type TypeDescription,
  typeKey,
} from '../description/description.ts'
import { type ValueKind, valueKind } from '../description/value-kind.ts'
import type { JsonSchema } from './members.ts'

const SCHEMAS: Record<ValueKind, Record<string, unknown>> = {
  integer: { type: 'integer' },
  bigint: { type: ['integer', 'string'], format: 'int64' },
  numeric: { type: ['number', 'string'] },
  float: { type: ['number', 'string'], format: 'double' },
  boolean: { type: 'boolean' },
  json: {},
  hstore: { type: 'object', additionalProperties: { type: ['string', 'null'] } },
  bytea: { type: 'string', pattern: '^\\\\x([0-9a-f]{2})*$' },
  timestamptz: { type: 'string', format: 'date-time' },
  void: { const: '' },
  open: {},
  text: { type: 'string' },
}

/** Formats of texts that OpenAPI knows. */
const FORMATS: Record<string, string> = { date: 'date', uuid: 'uuid' }

/** Named types of a description as JSON Schemas, which others refer to. */
export class TypeSchemas {
  readonly #types: Description['types']
  /** Keys in `components.schemas`, by type. */
  readonly #keys = new Map<string, string>()

  /** @param taken keys of other schemas */
  constructor(types: Description['types'], taken: string[]) {
    this.#types = types
    const keys = new Set(taken)
    for (const type of types.values()) {
      if (!isNamed(type)) continue
      const plain = typeKey(type).replaceAll(/[^A-Za-z0-9._-]/g, '_')
      let key = plain
      for (let i = 2; keys.has(key); i++) key = `${plain}_${i}`
      keys.add(key)
      this.#keys.set(type.name, key)
    }
  }

  /** Returns the schemas of all named types, by their keys. */
  all(): Record<string, JsonSchema> {
    const entries = [...this.#keys].map(([name, key]) => [
      key,
      this.#define(this.#types.get(name)!),
    ])
    return Object.fromEntries(entries)
  }

  /** Returns the schema of a type's values, or of null too. */
  of(name: string, mayBeNull: boolean): JsonSchema {
    const schema = this.#of(name)
    const { type, $ref } = schema
    // Any JSON may be null.
    if (!mayBeNull || (type === undefined && $ref === undefined)) return schema
    if (typeof type === 'string' || Array.isArray(type))
      return { ...schema, type: [type, 'null'].flat() }
    return { anyOf: [schema, { type: 'null' }] }
  }

  /** Returns the schema of an object with these members. */
  object(columns: Column[]): Record<string, unknown> {
    const members = columns.map(({ name, type, isNotNull, about }) => [
      name,
      describe(this.of(type, !isNotNull), about),
    ])
    return { type: 'object', properties: Object.fromEntries(members) }
  }

  #of(name: string): Record<string, unknown> {
    const key = this.#keys.get(name)
    if (key !== undefined) return { $ref: `#/components/schemas/${key}` }
    const type = this.#types.get(name)
    if (!type) return {}
    // Arrays have any number of dimensions: an element may be an array.
    if (type.kind === 'array') return { type: 'array', items: this.#element(type.of!) }
    const format = FORMATS[type.name]
    return { ...SCHEMAS[valueKind(type)], ...(format && { format }), 'x-type': type.name }
  }

  #element(name: string): JsonSchema {
    return { anyOf: [this.of(name, true), { type: 'array' }] }
  }

  #define(type: TypeDescription): JsonSchema {
    const { kind, about } = type
    if (kind === 'enum') return describe({ type: 'string', enum: type.labels! }, about)
    if (kind === 'domain') return describe(this.of(type.of!, false), about)
    return describe(this.object(type.attributes!), about)
  }
}

/** Adds a description, unless it is ''. */
export function describe(schema: JsonSchema, about: string): JsonSchema {
  return about === '' || typeof schema === 'boolean' ? schema : { ...schema, description: about }
}
