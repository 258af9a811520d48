import type { Io } from '../io.ts'
import { printable, styles } from './style.ts'
import { type Column, drawTable } from './table.ts'

/** Shows rows as a table that fits the terminal; without rows it says that there is none. */
export function showTable(io: Io, heads: Column[], rows: string[][], none: string): void {
  const style = styles(io.hasColor)
  if (rows.length === 0) io.out(`${style.dim(none)}\n`)
  else io.out(drawTable(heads, rows, style, io.columns))
}

/** Writes a text as it is; on a terminal, what could steer it as escapes, which JSON has too. */
export function writeText(io: Io, text: string): void {
  io.out(io.isTerminal ? printable(text) : text)
}

/** Writes a value as JSON, in one line. */
export function writeJson(io: Io, value: unknown): void {
  writeText(io, `${JSON.stringify(value)}\n`)
}

/** Shows one line that says that something is done. */
export function showDone(io: Io, text: string): void {
  io.out(`${styles(io.hasColor).green('✓')} ${printable(text)}\n`)
}

/** Shows warnings, a line each. */
export function showWarnings(io: Io, warnings: string[]): void {
  const { yellow } = styles(io.hasColor)
  for (const warning of warnings) io.out(`${yellow('!')} ${printable(warning)}\n`)
}

/** Returns a time for a person, in UTC to the minute. */
export function minute(time: string | null | undefined): string {
  return time ? time.slice(0, 16).replace('T', ' ') : '–'
}

/** Returns labels for a person: "plan:pro region:eu". */
export function labelsText(labels: Record<string, string> | undefined): string {
  return Object.entries(labels ?? {})
    .map(([name, value]) => `${name}:${value}`)
    .join(' ')
}

/** Returns a size for a person. */
export function megabytes(bytes: number | undefined): string {
  return bytes === undefined ? '–' : `${Math.round(bytes / 1024 / 1024)} MB`
}
