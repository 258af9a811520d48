import { constants, isUtf8 } from 'node:buffer'
import { quote, refusal } from './refuse.ts'

/**
 * Decodes a SQL file from UTF-8, without a byte order mark, lines ended by \n.
 * @throws {GatewayError} schema_extraction_failed with the file and the line: not UTF-8, or a
 *   NUL, which PostgreSQL's text type cannot store
 */
export function readText(data: Uint8Array, file: string): string {
  const nul = data.indexOf(0)
  if (nul >= 0) {
    const line = countLines(data.subarray(0, nul))
    throw refusal(`${quote(file)} contains a NUL in line ${line}: not a UTF-8 text`, { file, line })
  }
  if (!isUtf8(data)) {
    const line = findBadLine(data)
    throw refusal(`${quote(file)} is not valid UTF-8 in line ${line}`, { file, line })
  }
  // The UTF-8 form of a string has at least as many bytes as the string has UTF-16 units.
  if (data.length > constants.MAX_STRING_LENGTH) {
    throw refusal(`${quote(file)} is longer than ${constants.MAX_STRING_LENGTH} bytes`, { file })
  }
  const text = new TextDecoder().decode(data).replace(/\r\n?/g, '\n')
  const nested = findNested(text)
  if (nested === undefined) return text
  const line = text.slice(0, nested).split('\n').length
  throw refusal(`${quote(file)} nests too many comments in line ${line}`, { file, line })
}

/**
 * Characters of operators (PostgreSQL manual, "Lexical Structure"), more than anybody writes in a row. A search
 * that began within a row too would take seconds for a megabyte of shorter ones.
 */
const OPERATORS = /(?<![-+*/<>=~!@#%^&|`?])[-+*/<>=~!@#%^&|`?]{2000,}/g

const MAX_NESTED = 500

/**
 * Finds comments that begin within comments without anything between: PostgreSQL's lexer reads all operator
 * characters that follow a beginning anew for each of them, so that a short file takes minutes.
 */
function findNested(text: string): number | undefined {
  for (const { 0: run, index } of text.matchAll(OPERATORS))
    if (run.split('/*').length > MAX_NESTED) return index
  return undefined
}

function countLines(data: Uint8Array): number {
  let lines = 1
  for (let at = data.indexOf(0x0a); at >= 0; at = data.indexOf(0x0a, at + 1)) lines++
  return lines
}

/**
 * Finds the first line that is not UTF-8. Lines can be checked one by one: a line feed is never
 * part of a multi-byte sequence.
 */
function findBadLine(data: Uint8Array): number {
  let line = 1
  let start = 0
  for (let end = data.indexOf(0x0a); end >= 0; end = data.indexOf(0x0a, start)) {
    if (!isUtf8(data.subarray(start, end))) return line
    start = end + 1
    line++
  }
  return line
}
