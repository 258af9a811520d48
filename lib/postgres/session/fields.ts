import { protocolViolation } from './protocol.ts'
import type { Column, Row } from './query.ts'

/** Bytes of a column in a RowDescription after its name. */
const COLUMN_BYTES = 18
const TYPE_OFFSET = 6

/**
 * Reads the body of a DataRow; the fields are views of `bytes`.
 * @throws {Error} PROTOCOL_VIOLATION if a field runs past the message
 */
export function readRow(bytes: Buffer, start: number, end: number): Row {
  let at = start + 2
  if (at > end) throw pastItsMessage()
  const count = (bytes[start]! << 8) | bytes[start + 1]!
  if (at + 4 * count > end) throw pastItsMessage()
  // As long as the row: an empty array that grows takes room for 17 fields.
  const row: Row = new Array(count)
  for (let i = 0; i < count; i++) {
    if (at + 4 > end) throw pastItsMessage()
    const length = readInt32(bytes, at)
    at += 4
    if (length < 0) {
      if (length !== -1) throw pastItsMessage()
      row[i] = null
      continue
    }
    if (length > end - at) throw pastItsMessage()
    row[i] = bytes.subarray(at, at + length)
    at += length
  }
  if (at !== end) throw notItsEnd('a row')
  return row
}

/**
 * Reads the body of a RowDescription.
 * @throws {Error} PROTOCOL_VIOLATION if a field runs past the message
 */
export function readColumns(bytes: Buffer, start: number, end: number): Column[] {
  if (start + 2 > end) throw pastItsMessage()
  const count = (bytes[start]! << 8) | bytes[start + 1]!
  const columns: Column[] = []
  let at = start + 2
  for (let i = 0; i < count; i++) {
    const nameEnd = endOfString(bytes, at, end)
    if (nameEnd + 1 + COLUMN_BYTES > end) throw pastItsMessage()
    const type = bytes.readUInt32BE(nameEnd + 1 + TYPE_OFFSET)
    columns.push({ name: bytes.toString('utf8', at, nameEnd), type })
    at = nameEnd + 1 + COLUMN_BYTES
  }
  if (at !== end) throw notItsEnd('a description')
  return columns
}

/**
 * Returns the index of the zero byte that ends the string at `start`.
 * @throws {Error} PROTOCOL_VIOLATION if the message has none
 */
export function endOfString(bytes: Buffer, start: number, end: number): number {
  const at = bytes.indexOf(0, start)
  if (at === -1 || at >= end) throw pastItsMessage()
  return at
}

/**
 * Reads the body of a CommandComplete, a string that fills the message.
 * @throws {Error} PROTOCOL_VIOLATION if it does not
 */
export function readTag(bytes: Buffer, start: number, end: number): string {
  const textEnd = endOfString(bytes, start, end)
  if (textEnd !== end - 1) throw notItsEnd('a command tag')
  return bytes.toString('latin1', start, textEnd)
}

/**
 * Reads the body of a ParameterStatus.
 * @returns name and value
 * @throws {Error} PROTOCOL_VIOLATION if the two strings do not fill the message
 */
export function readParameter(bytes: Buffer, start: number, end: number): [string, string] {
  const nameEnd = endOfString(bytes, start, end)
  const valueEnd = endOfString(bytes, nameEnd + 1, end)
  if (valueEnd !== end - 1) throw notItsEnd('a parameter')
  const value = bytes.toString('utf8', nameEnd + 1, valueEnd)
  return [bytes.toString('utf8', start, nameEnd), value]
}

export function readInt32(bytes: Buffer, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
}

function pastItsMessage(): Error {
  return protocolViolation('a field runs past its message')
}

function notItsEnd(what: string): Error {
  return protocolViolation(`${what} does not end with its message`)
}
