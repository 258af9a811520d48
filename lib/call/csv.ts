import type { Row } from '../postgres/session/query.ts'

const QUOTE = 0x22
const SPECIAL = new Set([0x22, 0x2c, 0x0a, 0x0d])

/** Returns the header line of the column names, encoded as `csvLines` encodes values. */
export function csvHeader(names: string[]): Buffer {
  return Buffer.concat(csvLines([names.map((name) => Buffer.from(name))]))
}

/**
 * Encodes rows as `copy … with (format csv)` does (PostgreSQL manual, "COPY", "CSV Format"): null
 * is an empty field, the empty string is `""`, and a value is quoted where it needs to be. A single
 * `\.` on its line is quoted too: older servers and clients read it as the end of the data.
 * @returns pieces of the output, in order
 */
export function csvLines(rows: Row[]): Buffer[] {
  const pieces: Buffer[] = []
  for (const row of rows) {
    for (const [i, value] of row.entries()) {
      if (i > 0) pieces.push(COMMA)
      if (value === null) continue
      const isQuoted = needsQuotes(value) || (row.length === 1 && value.equals(END_OF_DATA))
      pieces.push(isQuoted ? quoted(value) : value)
    }
    pieces.push(LINE_END)
  }
  return pieces
}

const COMMA = Buffer.from(',')
const END_OF_DATA = Buffer.from('\\.')
const LINE_END = Buffer.from('\n')

function needsQuotes(value: Buffer): boolean {
  if (value.length === 0) return true
  for (const byte of value) if (SPECIAL.has(byte)) return true
  return false
}

function quoted(value: Buffer): Buffer {
  let quotes = 0
  for (const byte of value) if (byte === QUOTE) quotes++
  const result = Buffer.allocUnsafe(value.length + quotes + 2)
  let at = 0
  result[at++] = QUOTE
  for (const byte of value) {
    if (byte === QUOTE) result[at++] = QUOTE
    result[at++] = byte
  }
  result[at] = QUOTE
  return result
}
