import { GatewayError } from '../errors.ts'
import type { Json } from './json.ts'
import { jsonOf } from './text.ts'

/**
 * A number from `min` to `max`; undefined where it is absent or null.
 * @throws {GatewayError} invalid_request naming the field
 */
export function parseNumber(
  field: string,
  value: Json | undefined,
  range: [min: number, max: number],
): number | undefined {
  return parse(field, value, range, 'a number', Number.isFinite)
}

/**
 * The same of a whole number.
 * @throws {GatewayError} invalid_request naming the field
 */
export function parseWholeNumber(
  field: string,
  value: Json | undefined,
  range: [min: number, max: number],
): number | undefined {
  return parse(field, value, range, 'a whole number', Number.isInteger)
}

function parse(
  field: string,
  value: Json | undefined,
  [min, max]: [min: number, max: number],
  what: string,
  isOne: (number: number) => boolean,
): number | undefined {
  if (value === undefined || value.kind === 'null') return undefined
  const number = value.kind === 'number' ? Number(jsonOf(value)) : Number.NaN
  if (isOne(number) && number >= min && number <= max) return number
  throw new GatewayError('invalid_request', `${field} must be ${what} from ${min} to ${max}`)
}
