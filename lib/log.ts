import { type ConsolaReporter, createConsola, LogLevels, type LogObject } from 'consola'
import { colors } from 'consola/utils'

/** Log levels, most severe first. */
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug', 'trace'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** Fields of a line, beside its message: `{ status: 200, ms: 5 }`. */
export type LogFields = { [name: string]: string | number | boolean | null | undefined }

export interface Log {
  error(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  debug(message: string, fields?: LogFields): void
  trace(message: string, fields?: LogFields): void
  /**
   * Logs a request: at level warn from status 500 on, otherwise at level info. Costs a quarter of
   * the other methods.
   */
  request(line: RequestLine): void
}

/** Fields of a request's line. Only the path may need escaping in JSON. */
export interface RequestLine {
  method: string
  path: string
  status: number
  ms: number
  address: string | undefined
  request_id: string
  platform?: string | undefined
  database?: string | undefined
  function?: string | undefined
  error?: string | undefined
  sqlstate?: string | undefined
  wait_ms?: number | undefined
  query_ms?: number | undefined
}

/** Destination of lines; `isTTY` selects the format for people. */
export interface LogTarget {
  write(text: string): unknown
  isTTY?: boolean
}

/**
 * Creates a log on consola: lines for people in a terminal, one JSON object a line elsewhere. Lines
 * of one turn of the event loop are written together.
 */
export function createLog(level: LogLevel, target: LogTarget = process.stdout): Log {
  const write = bufferedWriter(target)
  const format = target.isTTY ? formatForPeople : formatAsJson
  const log = createConsola({
    level: LogLevels[level],
    // consola suppresses repeated lines; a request log has many of them.
    throttle: 0,
    reporters: [reporter(write, format)],
  })
  const request = (line: RequestLine) => {
    const lineLevel = line.status >= 500 ? 'warn' : 'info'
    if (LogLevels[level] < LogLevels[lineLevel]) return
    if (target.isTTY) log[lineLevel](`${line.method} ${line.path}`, { ...line })
    else write(formatRequest(line, lineLevel))
  }
  return Object.assign(log, { request })
}

type Format = (entry: LogObject, message: string, fields: LogFields) => string

function reporter(write: (line: string) => void, format: Format): ConsolaReporter {
  return {
    log(entry) {
      const [message, fields] = entry.args as [unknown, LogFields | undefined]
      write(format(entry, String(message), fields ?? {}))
    },
  }
}

/** Flush functions of writers with buffered lines; called when the process exits. */
const unwritten = new Set<() => void>()
process.once('exit', () => {
  for (const flush of unwritten) flush()
})

function bufferedWriter(target: LogTarget): (line: string) => void {
  let buffer = ''
  const flush = () => {
    const text = buffer
    buffer = ''
    unwritten.delete(flush)
    if (text !== '') target.write(text)
  }
  return (line) => {
    if (buffer === '') {
      unwritten.add(flush)
      setImmediate(flush)
    }
    buffer += `${line}\n`
  }
}

/** Formatted time of the last line, reused within a millisecond. */
let lastMs = 0
let lastTime = ''

function isoTime(): string {
  const ms = Date.now()
  if (ms !== lastMs) {
    lastMs = ms
    lastTime = new Date(ms).toISOString()
  }
  return lastTime
}

/**
 * Formats a request as `formatAsJson` does, without its cost. Methods, addresses, ids and database
 * names need no escaping.
 */
function formatRequest(line: RequestLine, level: LogLevel): string {
  const path = JSON.stringify(line.path).slice(1, -1)
  let text = `{"time":"${isoTime()}","level":"${level}","message":"${line.method} ${path}","method":"${line.method}","path":"${path}","status":${line.status},"ms":${line.ms}`
  if (line.address !== undefined) text += `,"address":"${line.address}"`
  text += `,"request_id":"${line.request_id}"`
  if (line.platform !== undefined) text += `,"platform":"${line.platform}"`
  if (line.database !== undefined) text += `,"database":"${line.database}"`
  if (line.function !== undefined) text += `,"function":"${line.function}"`
  if (line.error !== undefined) text += `,"error":"${line.error}"`
  if (line.sqlstate !== undefined) text += `,"sqlstate":"${line.sqlstate}"`
  if (line.wait_ms !== undefined) text += `,"wait_ms":${hundredths(line.wait_ms)}`
  if (line.query_ms !== undefined) text += `,"query_ms":${hundredths(line.query_ms)}`
  return `${text}}`
}

function hundredths(ms: number): number {
  return Math.round(ms * 100) / 100
}

function formatAsJson({ date, type }: LogObject, message: string, fields: LogFields): string {
  return JSON.stringify({ time: date.toISOString(), level: type, message, ...fields })
}

const COLORS: Record<string, (text: string) => string> = {
  error: colors.red,
  warn: colors.yellow,
  info: colors.cyan,
  debug: colors.gray,
  trace: colors.gray,
}

function formatForPeople({ date, type }: LogObject, message: string, fields: LogFields): string {
  const time = date.toTimeString().slice(0, 8)
  const color = COLORS[type] ?? String
  const details = Object.entries(fields)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]) => `${colors.dim(`${name}=`)}${quoteIfNeeded(String(value))}`)
  return [colors.dim(time), color(type.padEnd(5)), message, ...details].join(' ')
}

function quoteIfNeeded(text: string): string {
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text)
}
