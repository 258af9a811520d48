import { GatewayError } from '../errors.ts'
import type { Json } from './json.ts'
import { jsonOf } from './text.ts'

/**
 * Reads a boolean member; absent and null are false.
 * @throws {GatewayError} invalid_request naming the field
 */
export function parseFlag(field: string, value: Json | undefined): boolean {
  if (value === undefined || value.kind === 'null') return false
  if (value.kind === 'boolean') return jsonOf(value) === 'true'
  throw new GatewayError('invalid_request', `${field} must be true or false`)
}
