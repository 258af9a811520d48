import { type ConsolaReporter, createConsola, LogLevels, type LogObject } from 'consola'
import { colors } from 'consola/utils'
import type { LogLevel } from './config.ts'

/** What a line is about, beside its message: `{ status: 200, ms: 5 }`. */
export type LogFields = Record<string, string | number | boolean | null | undefined>

export interface Log {
  error(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  debug(message: string, fields?: LogFields): void
  trace(message: string, fields?: LogFields): void
}

/** Where lines go, and whether a person reads them there. */
export interface LogTarget {
  write(text: string): unknown
  isTTY?: boolean
}

/**
 * A log on consola: readable lines in a terminal, one JSON object a line elsewhere. Lines of one
 * turn of the event loop are written together.
 */
export function createLog(level: LogLevel, target: LogTarget = process.stdout): Log {
  const format = target.isTTY ? formatForPeople : formatAsJson
  return createConsola({
    level: LogLevels[level],
    // consola holds back repeated lines; a log of requests is full of them.
    throttle: 0,
    reporters: [bufferedReporter(target, format)],
  })
}

type Format = (entry: LogObject, message: string, fields: LogFields) => string

function bufferedReporter(target: LogTarget, format: Format): ConsolaReporter {
  let buffer = ''
  const flush = () => {
    const text = buffer
    buffer = ''
    target.write(text)
  }
  process.once('exit', () => buffer && flush())
  return {
    log(entry) {
      if (buffer === '') setImmediate(flush)
      const [message, fields] = entry.args as [unknown, LogFields | undefined]
      buffer += `${format(entry, String(message), fields ?? {})}\n`
    },
  }
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
