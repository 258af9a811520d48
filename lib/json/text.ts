import type { Json } from './json.ts'

/** Longer texts stay bytes. */
const SHORT_BYTES = 4096

/** A name has at most 63 bytes, and each may be written as an escape of six. */
const MAX_NAME_BYTES = 1024

const BACKSLASH = 0x5c
const OPEN = Buffer.from('[')
const CLOSE = Buffer.from(']')

/** The characters of a string, its escapes resolved. It may hold NUL and halves of surrogate pairs. */
export function stringOf(string: Json): string {
  const { bytes, start, end } = string
  return isEscaped(string)
    ? JSON.parse(bytes.toString('utf8', start, end))
    : bytes.toString('utf8', start + 1, end - 1)
}

/** The same of a string that is a name: of one that is too long for any, its beginning. */
export function nameOf(string: Json): string {
  const { bytes, start, end } = string
  return end - start <= MAX_NAME_BYTES
    ? stringOf(string)
    : bytes.toString('utf8', start + 1, start + MAX_NAME_BYTES)
}

/** Whether a string has escapes. */
export function isEscaped({ bytes, start, end }: Json): boolean {
  if (end - start > 64) return bytes.subarray(start, end).includes(BACKSLASH)
  for (let at = start + 1; at < end; at++) if (bytes[at] === BACKSLASH) return true
  return false
}

/** The JSON text of a value, as it was written. */
export function jsonOf(json: Json): string {
  const { bytes, kind, start, end } = json
  return kind === 'array'
    ? `[${bytes.toString('utf8', start + 1, end - 1)}]`
    : bytes.toString('utf8', start, end)
}

/** The same, but bytes where it is long. */
export function jsonOrBytesOf(json: Json): string | Buffer {
  const { bytes, kind, start, end } = json
  if (end - start <= SHORT_BYTES) return jsonOf(json)
  if (kind !== 'array' || isBracketed(json)) return bytes.subarray(start, end)
  return Buffer.concat([OPEN, bytes.subarray(start + 1, end - 1), CLOSE])
}

/** The characters of a string without escapes, but bytes where it is long. */
export function unescapedOrBytesOf({ bytes, start, end }: Json): string | Buffer {
  return end - start <= SHORT_BYTES
    ? bytes.toString('utf8', start + 1, end - 1)
    : bytes.subarray(start + 1, end - 1)
}

/** Whether an array is not a run of elements of another. */
function isBracketed({ bytes, start, end }: Json): boolean {
  return bytes[start] === OPEN[0] && bytes[end - 1] === CLOSE[0]
}
