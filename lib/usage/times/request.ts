import { GatewayError } from '../../errors.ts'
import { isDay } from '../request.ts'
import { STEP_MS, type Step } from './table.ts'

const HOUR_MS = STEP_MS.hour

/** Longest time that is shown by minute unless that is asked for. */
const BY_MINUTE_MS = 6 * HOUR_MS

/** The time that is asked for, in whole steps. */
export interface Span {
  from: Date
  /** Exclusive. */
  to: Date
  step: Step
}

/**
 * Parses the time of a request: the last hour if it is absent, by minute up to six hours as far as
 * minutes are kept, else by hour.
 * @param minutesKeptMs milliseconds for which minutes are kept
 * @throws {GatewayError} invalid_request
 */
export function parseSpan(
  given: { from?: unknown; to?: unknown; step?: Step | undefined },
  now: number,
  minutesKeptMs: number,
): Span {
  const to = parseTime('to', given.to) ?? now
  const from = parseTime('from', given.from) ?? to - HOUR_MS
  if (from >= to) throw new GatewayError('invalid_request', 'from must be before to')
  const isRecent = to - from <= BY_MINUTE_MS && from >= now - minutesKeptMs
  const step = given.step ?? (isRecent ? 'minute' : 'hour')
  const first = Math.floor(from / STEP_MS[step]) * STEP_MS[step]
  return { from: new Date(first), to: new Date(to), step }
}

/** Date, time and zone (RFC 3339; seconds may be left out). A "+" that a URL has is a blank. */
const TIME =
  /^(?<day>\d{4}-\d\d-\d\d)(?<time>T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(?<zone>Z|[ +-](?:[01]\d|2[0-3]):[0-5]\d)$/

function parseTime(name: string, value: unknown): number | undefined {
  if (value === undefined) return undefined
  const { day = '', time, zone } = (typeof value === 'string' && TIME.exec(value)?.groups) || {}
  const ms = isDay(day) ? Date.parse(`${day}${time}${zone!.replace(' ', '+')}`) : Number.NaN
  if (ms >= 0 && ms < Date.UTC(10_000, 0)) return ms
  throw new GatewayError(
    'invalid_request',
    `${name} must be a time with its zone, such as 2026-11-26T12:00:00Z`,
  )
}
