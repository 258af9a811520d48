import { GatewayError } from '../errors.ts'
import type { UsageQuery } from './read.ts'

/** Days of a request without `from`. */
const DEFAULT_DAYS = 30

const DAY_MS = 24 * 60 * 60 * 1000

/**
 * Parses the first and the last day; 30 days up to today if they are absent.
 * @throws {GatewayError} invalid_request
 */
export function parseDays(
  given: { from?: unknown; to?: unknown },
  today: string,
): Pick<UsageQuery, 'from' | 'to'> {
  const to = parseDay('to', given.to) ?? today
  const from = parseDay('from', given.from) ?? daysBefore(to, DEFAULT_DAYS - 1)
  if (from > to) {
    throw new GatewayError('invalid_request', `from must not be after to, which is ${to}`)
  }
  return { from, to }
}

function daysBefore(day: string, days: number): string {
  return new Date(Date.parse(day) - days * DAY_MS).toISOString().slice(0, 10)
}

function parseDay(name: string, value: unknown): string | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'string' && isDay(value)) return value
  throw new GatewayError('invalid_request', `${name} must be a day in UTC, such as 2026-11-26`)
}

/** Returns whether a text is a day of the calendar, as YYYY-MM-DD. */
export function isDay(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return false
  const at = new Date(`${text}T00:00:00Z`)
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(text) && text >= '1970'
}
