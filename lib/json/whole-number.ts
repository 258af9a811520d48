import { GatewayError } from '../errors.ts'
import type { Json } from './json.ts'
import { jsonOf } from './text.ts'

/**
 * A whole number from `min` to `max`; undefined where it is absent or null.
 * @throws {GatewayError} invalid_request naming the field
 */
export function parseWholeNumber(
  field: string,
  value: Json | undefined,
  [min, max]: [min: number, max: number],
): number | undefined {
  if (value === undefined || value.kind === 'null') return undefined
  const number = value.kind === 'number' ? Number(jsonOf(value)) : Number.NaN
  if (Number.isInteger(number) && number >= min && number <= max) return number
  throw new GatewayError('invalid_request', `${field} must be a whole number from ${min} to ${max}`)
}
