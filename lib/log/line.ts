import type { LineBuffer } from './line-buffer.ts'

/** Log levels, most severe first. */
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug', 'trace'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** `text`: for people; `json`: the gateway's own fields; `ecs`: those of the Elastic Common Schema. */
export const LOG_FORMATS = ['text', 'json', 'ecs'] as const
export type LogFormat = (typeof LOG_FORMATS)[number]

/** Fields of a line, beside its message: `{ status: 200, ms: 5 }`. */
export type LogFields = { [name: string]: string | number | boolean | null | undefined }

/** Fields of a request's line. Only the path may need escaping in JSON. */
export interface RequestLine {
  method: string
  path: string
  status: number
  ms: number
  address: string | undefined
  request_id: string
  /** Ids of the request's span, in hexadecimal; undefined without tracing. */
  trace_id?: string | undefined
  span_id?: string | undefined
  platform?: string | undefined
  database?: string | undefined
  function?: string | undefined
  error?: string | undefined
  sqlstate?: string | undefined
  wait_ms?: number | undefined
  query_ms?: number | undefined
}

/** Writes a line without its line break. */
export interface Format {
  entry(date: Date, level: string, message: string, fields: LogFields): string
  /** Undefined where requests are entries like all others. */
  request: RequestFormat | undefined
}

export interface RequestFormat {
  /** With what the line of a request begins. */
  begin: string
  /** Writes the rest of it. */
  write(lines: LineBuffer, line: RequestLine, level: LogLevel): void
}

/** Formatted time of the last line, reused within a millisecond. */
let lastMs = 0
let lastTime = ''

/** Returns the present time as ISO 8601. */
export function isoTime(): string {
  const ms = Date.now()
  if (ms !== lastMs) {
    lastMs = ms
    lastTime = new Date(ms).toISOString()
  }
  return lastTime
}

const PLAIN_PATH = /^[\w/.-]*$/

/** Returns a path as it stands between the quotes of a JSON string. */
export function escapedPath(path: string): string {
  return PLAIN_PATH.test(path) ? path : escaped(path)
}

/** Returns a text as it stands between the quotes of a JSON string, without control characters. */
export function escaped(text: string): string {
  return toJson(text).slice(1, -1)
}

/** Returns JSON without control characters: JSON.stringify leaves DEL and C1, which terminals obey. */
export function toJson(value: unknown): string {
  return withoutControls(JSON.stringify(value))
}

const CONTROL = /\p{Cc}/u
const CONTROLS = /\p{Cc}/gu

/** Returns a text with its control characters (C0, DEL, C1) as JSON escapes them: a line break as `\n`. */
export function withoutControls(text: string): string {
  return CONTROL.test(text) ? text.replace(CONTROLS, escapeControl) : text
}

function escapeControl(character: string): string {
  const inJson = JSON.stringify(character).slice(1, -1)
  return inJson === character
    ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
    : inJson
}

/** Returns milliseconds with two decimals. */
export function hundredths(ms: number): string {
  return String(Math.round(ms * 100) / 100)
}
