import { protocolViolation } from './protocol.ts'
import type { Column, Row } from './query.ts'

/** Bytes of a column in a RowDescription behind its name. */
const COLUMN_BYTES = 18
const TYPE_OFFSET = 6

/**
 * Reads the body of a DataRow without copying it.
 * @throws {Error} with code PROTOCOL_VIOLATION where a field runs past the message
 */
export function readRow(bytes: Buffer, start: number, end: number): Row {
  let at = start + 2
  if (at > end) throw pastItsMessage()
  const count = (bytes[start]! << 8) | bytes[start + 1]!
  if (at + 4 * count > end) throw pastItsMessage()
  const row: Row = []
  for (let i = 0; i < count; i++) {
    if (at + 4 > end) throw pastItsMessage()
    const length = readInt32(bytes, at)
    at += 4
    if (length < 0) {
      if (length !== -1) throw pastItsMessage()
      row.push(null)
      continue
    }
    if (length > end - at) throw pastItsMessage()
    row.push(bytes.subarray(at, at + length))
    at += length
  }
  if (at !== end) throw protocolViolation('a row does not end with its message')
  return row
}

/**
 * Reads the body of a RowDescription.
 * @throws {Error} with code PROTOCOL_VIOLATION where a field runs past the message
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
  if (at !== end) throw protocolViolation('a description does not end with its message')
  return columns
}

/**
 * Where the zero byte is that ends the text which starts at `start`.
 * @throws {Error} with code PROTOCOL_VIOLATION where it is not within the message
 */
export function endOfString(bytes: Buffer, start: number, end: number): number {
  const at = bytes.indexOf(0, start)
  if (at === -1 || at >= end) throw pastItsMessage()
  return at
}

export function readInt32(bytes: Buffer, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
}

function pastItsMessage(): Error {
  return protocolViolation('a field runs past its message')
}
