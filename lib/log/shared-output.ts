import type { LogFields } from './line.ts'
import type { LogTarget } from './writer.ts'

/** Bytes that a pipe takes as one, whoever else writes to it: PIPE_BUF of Linux (pipe(7)). */
const MAX_WHOLE_BYTES = 4096

/** Characters of a path in the line of a request: twice, in 3,000 bytes where JSON escapes all of them. */
const MAX_PATH = 250

/** Characters that a text of a line has where the line would be too long; then half of it, and so on. */
const FIRST_MAX_TEXT = 2048

/**
 * An output that other processes write to as well: takes whole lines, at most 4,096 bytes at once, so that
 * none breaks a line of another. A longer line goes as it is.
 */
export class SharedOutput {
  readonly #target: LogTarget
  /** What the target has not been given: it would join what it cannot write at once. */
  readonly #waiting: string[] = []

  constructor(target: LogTarget) {
    this.#target = target
  }

  write(lines: string): void {
    // A UTF-16 unit is three bytes at most.
    if (lines.length * 3 <= MAX_WHOLE_BYTES) this.#waiting.push(lines)
    else this.#waiting.push(...piecesOf(lines))
    this.#next()
  }

  readonly #next = (): void => {
    while (this.#waiting.length > 0 && !this.#target.writableLength) {
      this.#target.write(this.#waiting.shift()!, this.#next)
    }
  }
}

function piecesOf(lines: string): string[] {
  const pieces = []
  let start = 0
  let bytes = 0
  for (let at = 0, end: number; at < lines.length; at = end) {
    end = lines.indexOf('\n', at) + 1 || lines.length
    const more = Buffer.byteLength(lines.slice(at, end))
    if (bytes > 0 && bytes + more > MAX_WHOLE_BYTES) {
      pieces.push(lines.slice(start, at))
      start = at
      bytes = 0
    }
    bytes += more
  }
  pieces.push(lines.slice(start))
  return pieces
}

/**
 * Returns a line of at most 4,095 bytes, its line break apart: where it would be longer, its message and
 * fields are cut and end with `…`.
 */
export function wholeLine(
  make: (message: string, fields: LogFields) => string,
  message: string,
  fields: LogFields,
): string {
  let line = make(message, fields)
  for (let most = FIRST_MAX_TEXT; most > 0 && isTooLong(line); most = Math.floor(most / 2)) {
    const short = Object.entries(fields).map(([name, value]) => [name, cut(value, most)])
    line = make(cut(message, most), Object.fromEntries(short))
  }
  return line
}

function isTooLong(line: string): boolean {
  return line.length * 3 >= MAX_WHOLE_BYTES && Buffer.byteLength(line) >= MAX_WHOLE_BYTES
}

/** Returns a path as the line of a request has it where lines must stay whole. */
export function shortPath(path: string): string {
  return cut(path, MAX_PATH)
}

function cut<T>(value: T, most: number): T {
  return typeof value === 'string' && value.length > most
    ? (`${value.slice(0, most).toWellFormed()}…` as T)
    : value
}
