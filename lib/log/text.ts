import { colors } from 'consola/utils'
import { type Format, toJson, withoutControls } from './line.ts'

const COLORS: Record<string, (text: string) => string> = {
  error: colors.red,
  warn: colors.yellow,
  info: colors.cyan,
  debug: colors.gray,
  trace: colors.gray,
}

/** Lines for people. */
export const text: Format = {
  entry(date, level, message, fields) {
    const time = date.toTimeString().slice(0, 8)
    const color = COLORS[level] ?? String
    const details = Object.entries(fields)
      .filter(([, value]) => value !== undefined && value !== null)
      .map(
        ([name, value]) =>
          `${colors.dim(`${withoutControls(name)}=`)}${quoteIfNeeded(String(value))}`,
      )
    const told = withoutControls(message)
    return [colors.dim(time), color(level.padEnd(5)), told, ...details].join(' ')
  },
  request: undefined,
}

function quoteIfNeeded(text: string): string {
  return /^[^\s"=\p{Cc}]+$/u.test(text) ? text : toJson(text)
}
