// What the page needs of JSON Schema, as /openapi.json has it.

/**
 * @typedef {object} Schema
 * @property {string} [$ref]
 * @property {string | string[]} [type]
 * @property {unknown[]} [enum]
 * @property {unknown} [const]
 * @property {string} [format]
 * @property {string} [description]
 * @property {Schema[]} [anyOf]
 * @property {Schema | boolean} [items]
 * @property {Schema[]} [prefixItems]
 * @property {Record<string, Schema>} [properties]
 * @property {string[]} [required]
 * @property {number} [minItems]
 * @property {number} [maxItems]
 * @property {string} [x-type]
 * @property {string} [x-default]
 */

/** @typedef {Record<string, Schema>} Schemas the named schemas of a document */
/** @typedef {'choice' | 'boolean' | 'number' | 'text' | 'json'} Kind how a value is typed in */

/** @param {Schema} schema */
const isNull = (schema) => schema.type === 'null'

/**
 * Returns the schema without null, and whether null fits it too.
 * @param {Schema} schema
 * @param {Schemas} schemas
 * @returns {{ schema: Schema, name: string | undefined, mayBeNull: boolean }}
 */
function follow(schema, schemas) {
  if (schema.anyOf?.some(isNull)) {
    const rest = schema.anyOf.filter((one) => !isNull(one))
    const only = rest.length === 1 && rest[0] ? rest[0] : { ...schema, anyOf: rest }
    return { ...follow(only, schemas), mayBeNull: true }
  }
  if (schema.$ref !== undefined) {
    const name = schema.$ref.replace('#/components/schemas/', '')
    return { ...follow(schemas[name] ?? {}, schemas), name }
  }
  const types = [schema.type ?? []].flat()
  return { schema, name: undefined, mayBeNull: types.length === 0 || types.includes('null') }
}

/**
 * Whether null fits the schema.
 * @param {Schema} schema
 * @param {Schemas} schemas
 */
export function mayBeNull(schema, schemas) {
  return follow(schema, schemas).mayBeNull
}

/**
 * @param {Schema} schema
 * @param {Schemas} schemas
 * @returns {{ kind: Kind, choices: string[] }}
 */
export function inputOf(schema, schemas) {
  const { schema: plain } = follow(schema, schemas)
  const types = [plain.type ?? []].flat()
  const choices = (plain.enum ?? []).filter((one) => typeof one === 'string')
  if (choices.length > 0) return { kind: 'choice', choices }
  if (types.includes('boolean')) return { kind: 'boolean', choices: ['true', 'false'] }
  if (types.includes('integer') || types.includes('number')) return { kind: 'number', choices }
  const isText = types.length > 0 && types.every((type) => type === 'string' || type === 'null')
  return { kind: isText ? 'text' : 'json', choices }
}

/**
 * Names the type of a schema as a person reads it.
 * @param {Schema} schema
 * @param {Schemas} schemas
 * @returns {string}
 */
export function typeName(schema, schemas) {
  const { schema: plain, name } = follow(schema, schemas)
  if (name !== undefined) return name
  if (plain['x-type']) return plain['x-type']
  const types = [plain.type ?? []].flat().filter((type) => type !== 'null')
  if (types[0] === 'array' && typeof plain.items === 'object') {
    // An element may be an array too: any number of dimensions.
    const element = plain.items.anyOf?.[0] ?? plain.items
    return `${typeName(element, schemas)}[]`
  }
  return (
    types.join(' or ') || plain.anyOf?.map((one) => typeName(one, schemas)).join(' or ') || 'any'
  )
}

/**
 * Returns the columns that a schema of rows names.
 * @param {Schema} schema
 * @param {Schemas} schemas
 * @returns {[string, Schema][]}
 */
export function membersOf(schema, schemas) {
  return Object.entries(follow(schema, schemas).schema.properties ?? {})
}
