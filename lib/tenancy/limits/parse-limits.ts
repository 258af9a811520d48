import { GatewayError } from '../../errors.ts'
import { fieldsOf } from '../../json/fields.ts'
import { parseFlag } from '../../json/flag.ts'
import type { Json } from '../../json/json.ts'
import { parseWholeNumber } from '../../json/number.ts'
import { jsonOf } from '../../json/text.ts'
import { checkCallableSchema } from '../callable-schema.ts'
import type { LimitChanges } from './tenant-limits.ts'

const RANGES = {
  max_connections: [1, 10_000],
  calls_per_second: [1, 1_000_000],
  // A shorter one would end the statements that lead a session from one call to the next.
  statement_timeout_ms: [10, 24 * 60 * 60 * 1000],
} as const satisfies Record<string, [min: number, max: number]>

const NUMBERS = Object.keys(RANGES) as (keyof typeof RANGES)[]
const NAMES = [...NUMBERS, 'callable_schemas', 'read_only'] as const

/** Maximum number of callable schemas of one tenant. */
const MAX_SCHEMAS = 64

/**
 * Parses the member `limits` of a request. Null, and false for `read_only`, takes a limit away; an
 * absent one stays as it is.
 * @throws {GatewayError} invalid_request naming the member
 */
export function parseLimitChanges(value: Json | undefined): LimitChanges {
  if (value?.kind !== 'object') {
    throw new GatewayError('invalid_request', 'limits must be an object, as {"read_only":true}')
  }
  const fields = fieldsOf(value, NAMES, 'limits')
  const changes: LimitChanges = {}
  for (const name of NUMBERS) {
    const field = fields[name]
    if (field) changes[name] = parseWholeNumber(`limits.${name}`, field, [...RANGES[name]]) ?? null
  }
  const { callable_schemas: schemas, read_only: readOnly } = fields
  if (schemas) changes.callable_schemas = parseSchemas(schemas)
  if (readOnly) changes.read_only = parseFlag('limits.read_only', readOnly) || null
  return changes
}

function parseSchemas(value: Json): string[] | null {
  if (value.kind === 'null') return null
  const names = value.kind === 'array' ? (JSON.parse(jsonOf(value)) as unknown[]) : []
  if (names.length === 0 || names.length > MAX_SCHEMAS) {
    throw new GatewayError(
      'invalid_request',
      `limits.callable_schemas must be an array of 1 to ${MAX_SCHEMAS} names of schemas`,
    )
  }
  const schemas = names.map((name) => {
    try {
      return checkCallableSchema(name)
    } catch (error) {
      throw new GatewayError(
        'invalid_request',
        `limits.callable_schemas: ${(error as Error).message}`,
      )
    }
  })
  return [...new Set(schemas)]
}
