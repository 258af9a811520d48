import { firstCause } from '../terminal/failure.ts'
import { fit, printable, type Styles } from '../terminal/style.ts'
import type { Fleet, Line } from './state.ts'

const BAR = 24
/** Failures that are listed while the fleet runs; at the end all of them are. */
const MAX_FAILURES = 5

/**
 * Draws a fleet on a terminal: one bar, the databases being deployed to, and failures below. No line is
 * wider than the terminal, where it would take two.
 */
export function drawFleet(fleet: Fleet, note: string, style: Styles, columns: number): string[] {
  const { total, done, running, failed } = fleet
  const width = Math.max(columns - 1, 1)
  const counts = `${done}/${total || '…'}`
  const cells = Math.min(Math.max(width - counts.length - 2, 0), BAR)
  const share = total === 0 ? 0 : Math.min(done / total, 1)
  const full = Math.floor(share * cells)
  const ink = failed.length > 0 ? style.red : style.green
  const bar = ink('█'.repeat(full)) + style.dim('░'.repeat(cells - full))
  const lines = [cells > 0 ? `${bar}  ${counts}` : fit(counts, width)]
  if (note !== '') lines.push(style.yellow(fit(`  ${note}`, width)))
  if (running.length > 0)
    lines.push(style.dim(fit(printable(`  now  ${running.join(', ')}`), width)))
  for (const line of failed.slice(0, MAX_FAILURES)) {
    lines.push(`${style.red('✗')} ${fit(failureLine(line), width - 2)}`)
  }
  const rest = failed.length - MAX_FAILURES
  if (rest > 0) lines.push(style.dim(fit(`  and ${rest} more failures`, width)))
  return lines
}

/** Describes the failure of a database in one line. */
export function failureLine({ database, error }: Line): string {
  const { file, line, cause, message } = error ?? {}
  const where = file ? `${file}${line ? `:${line}` : ''}  ` : ''
  const text = firstCause(String(cause ?? message ?? 'failed'))
  return printable(`${database}  ${where}${text}`).replaceAll('\n', ' ')
}

/** A part of the terminal that is drawn anew in place. */
export class Live {
  readonly #write: (text: string) => void
  #lines = 0

  constructor(write: (text: string) => void) {
    this.#write = write
  }

  draw(lines: string[]): void {
    this.#write(`${this.#erasing()}${lines.map((line) => `${line}\n`).join('')}`)
    this.#lines = lines.length
  }

  clear(): void {
    this.#write(this.#erasing())
    this.#lines = 0
  }

  /** ECMA-48: cursor up, then erase to the end of the screen. */
  #erasing(): string {
    return this.#lines === 0 ? '' : `\u001b[${this.#lines}A\r\u001b[J`
  }
}
