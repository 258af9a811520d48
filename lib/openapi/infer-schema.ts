import type { JsonSchema } from './members.ts'

/**
 * Returns a JSON Schema that the value fits, and others of its shape: members may be missing and
 * further ones may be there, as answers get new members. A value may be null, and a null any value.
 */
export function inferSchema(value: unknown): JsonSchema {
  if (value === null || value === undefined) return {}
  if (Array.isArray(value)) {
    return { type: 'array', ...(value.length > 0 && { items: inferSchema(value[0]) }) }
  }
  if (typeof value !== 'object') return { type: [typeof value, 'null'] }
  const properties = Object.entries(value).map(([name, one]) => [name, inferSchema(one)])
  return { type: 'object', properties: Object.fromEntries(properties) }
}
