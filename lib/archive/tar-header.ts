import { isZero } from './bytes.ts'

/** Size of a header in bytes; data is padded to a multiple of it. */
export const BLOCK = 512

/**
 * Returns whether the header's checksum is right: the sum of its bytes, with the checksum field
 * counted as spaces. POSIX.1-1988 adds unsigned bytes, some historic tars signed ones (GNU tar
 * manual, "Standard").
 */
export function hasChecksum(header: Buffer): boolean {
  const expected = readNumber(header.subarray(148, 156))
  let unsigned = 0
  let signed = 0
  for (let i = 0; i < BLOCK; i++) {
    const byte = i >= 148 && i < 156 ? 0x20 : header[i]!
    unsigned += byte
    signed += byte < 128 ? byte : byte - 256
  }
  return expected === unsigned || expected === signed
}

/** Returns the size of the entry in bytes, or undefined if the field is not a number. */
export function headerSize(header: Buffer): number | undefined {
  return readNumber(header.subarray(124, 136))
}

/** Returns the type flag; '0' for a file, which old tars mark with NUL. */
export function headerType(header: Buffer): string {
  return header[156] === 0 ? '0' : String.fromCharCode(header[156]!)
}

/**
 * Returns the bytes of the name, including ustar's prefix field. GNU's own format, whose magic is
 * `ustar` and two spaces, stores times in place of the prefix.
 */
export function headerName(header: Buffer): Buffer {
  const name = upToNul(header.subarray(0, 100))
  const isUstar = header.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = isUstar ? upToNul(header.subarray(345, 500)) : name.subarray(0, 0)
  return prefix.length > 0 ? Buffer.concat([prefix, Buffer.from('/'), name]) : name
}

function upToNul(field: Buffer): Buffer {
  const end = field.indexOf(0)
  return end < 0 ? field : field.subarray(0, end)
}

/**
 * Reads a number: octal digits, padded with spaces or NULs on either side; an empty field is 0. GNU
 * tar sets the first bit of the field for a number in base 256 (GNU tar manual, "Extensions to the
 * Standard").
 */
function readNumber(field: Buffer): number | undefined {
  if (field[0] === 0x80) return field.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0)
  if (isZero(field)) return 0
  const digits = /^[ \0]*([0-7]*)(?:[ \0]|$)/.exec(field.toString('latin1'))?.[1]
  return digits === undefined ? undefined : Number.parseInt(digits || '0', 8)
}
