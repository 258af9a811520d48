import { getQuery, type H3Event } from 'h3'
import { GatewayError } from '../../errors.ts'
import { checkNames } from '../../json/known-names.ts'
import { nodeOf } from '../request.ts'
import { parseQuery } from './query-string.ts'

/**
 * The query of a request, with these names and no others: a filter that is not read would give all
 * there is.
 * @throws {GatewayError} invalid_request naming the first that is unknown, and those that exist
 */
export function readQuery(
  event: H3Event,
  names: readonly string[],
): Record<string, string | string[] | undefined> {
  checkNames('query parameter', parseQuery(nodeOf(event).req.url ?? '').keys(), names)
  return getQuery(event)
}

/**
 * A whole number from 1 to `max` of a query string; undefined where it is absent.
 * @throws {GatewayError} invalid_request naming the field
 */
export function parseCount(name: string, value: unknown, max: number): number | undefined {
  if (value === undefined) return undefined
  const number = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : 0
  if (number >= 1 && number <= max) return number
  throw new GatewayError('invalid_request', `${name} must be a whole number from 1 to ${max}`)
}

/**
 * A text of a query string that is given once, and is not empty; undefined where it is absent.
 * @throws {GatewayError} invalid_request naming the field
 */
export function parseText(name: string, value: unknown): string | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'string' && value !== '') return value
  throw new GatewayError('invalid_request', `${name} must be given once, and not be empty`)
}

/**
 * `true` or `false` of a query string; `fallback` where it is absent.
 * @throws {GatewayError} invalid_request naming the field
 */
export function parseSwitch(name: string, value: unknown, fallback: boolean): boolean {
  if (value === undefined) return fallback
  if (value === 'true' || value === 'false') return value === 'true'
  throw new GatewayError('invalid_request', `${name} must be true or false`)
}
