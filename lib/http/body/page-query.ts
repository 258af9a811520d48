import { getQuery, type H3Event } from 'h3'
import { GatewayError } from '../../errors.ts'
import { checkNames } from '../../json/known-names.ts'
import { nodeOf } from '../request.ts'
import { parseQuery } from './query-string.ts'

/**
 * Returns the query parameters of a request. Unknown names are refused, because ignoring a
 * misspelled filter would return everything.
 * @throws {GatewayError} invalid_request with the first unknown name and the known ones
 */
export function readQuery(
  event: H3Event,
  names: readonly string[],
): Record<string, string | string[] | undefined> {
  checkNames('query parameter', parseQuery(nodeOf(event).req.url ?? '').keys(), names)
  return getQuery(event)
}

/**
 * Parses a whole number from 1 to `max`; undefined if it is absent.
 * @throws {GatewayError} invalid_request naming the parameter
 */
export function parseCount(name: string, value: unknown, max: number): number | undefined {
  if (value === undefined) return undefined
  const number = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : 0
  if (number >= 1 && number <= max) return number
  throw new GatewayError('invalid_request', `${name} must be a whole number from 1 to ${max}`)
}

/**
 * Parses a text without NUL that must be given once and not be empty; undefined if it is absent.
 * @throws {GatewayError} invalid_request naming the parameter
 */
export function parseText(name: string, value: unknown): string | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'string' || value === '') {
    throw new GatewayError('invalid_request', `${name} must be given once, and not be empty`)
  }
  // PostgreSQL has no texts with NUL.
  if (!value.includes('\0')) return value
  throw new GatewayError('invalid_request', `${name} must not have the character NUL`)
}

/**
 * Parses `true` or `false`; returns `fallback` if it is absent.
 * @throws {GatewayError} invalid_request naming the parameter
 */
export function parseSwitch(name: string, value: unknown, fallback: boolean): boolean {
  if (value === undefined) return fallback
  if (value === 'true' || value === 'false') return value === 'true'
  throw new GatewayError('invalid_request', `${name} must be true or false`)
}

/**
 * Parses one of the choices; undefined if it is absent.
 * @throws {GatewayError} invalid_request naming the parameter and the choices
 */
export function parseChoice<T extends string>(
  name: string,
  value: unknown,
  choices: readonly T[],
): T | undefined {
  if (value === undefined) return undefined
  const choice = choices.find((one) => one === value)
  if (choice !== undefined) return choice
  throw new GatewayError('invalid_request', `${name} must be one of ${choices.join(', ')}`)
}
