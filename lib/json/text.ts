import type { Json } from './json.ts'

/** Texts longer than this many bytes are not decoded. */
const SHORT_BYTES = 4096

/** A name has at most 63 bytes, each written as an escape of up to six. */
const MAX_NAME_BYTES = 1024

const BACKSLASH = 0x5c
const OPEN = Buffer.from('[')
const CLOSE = Buffer.from(']')

/**
 * Returns the characters of a string with its escapes resolved. The result may contain NUL and
 * unpaired surrogates.
 */
export function stringOf(string: Json): string {
  const { bytes, start, end } = string
  return isEscaped(string)
    ? JSON.parse(bytes.toString('utf8', start, end))
    : bytes.toString('utf8', start + 1, end - 1)
}

/**
 * Returns the characters of a string that is a name; only the beginning if it is too long to be
 * one.
 */
export function nameOf(string: Json): string {
  const { bytes, start, end } = string
  return end - start <= MAX_NAME_BYTES
    ? stringOf(string)
    : bytes.toString('utf8', start + 1, start + MAX_NAME_BYTES)
}

/** Returns whether a string has escapes. */
export function isEscaped({ bytes, start, end }: Json): boolean {
  if (end - start > 64) return bytes.subarray(start, end).includes(BACKSLASH)
  for (let at = start + 1; at < end; at++) if (bytes[at] === BACKSLASH) return true
  return false
}

/** Returns the JSON text of a value, as it was written. */
export function jsonOf(json: Json): string {
  const { bytes, kind, start, end } = json
  return kind === 'array'
    ? `[${bytes.toString('utf8', start + 1, end - 1)}]`
    : bytes.toString('utf8', start, end)
}

/** Returns the JSON text of a value, as bytes if it is long. */
export function jsonOrBytesOf(json: Json): string | Buffer {
  const { bytes, kind, start, end } = json
  if (end - start <= SHORT_BYTES) return jsonOf(json)
  if (kind !== 'array' || isBracketed(json)) return bytes.subarray(start, end)
  return Buffer.concat([OPEN, bytes.subarray(start + 1, end - 1), CLOSE])
}

/** Returns the characters of a string that has no escapes, as bytes if it is long. */
export function unescapedOrBytesOf({ bytes, start, end }: Json): string | Buffer {
  return end - start <= SHORT_BYTES
    ? bytes.toString('utf8', start + 1, end - 1)
    : bytes.subarray(start + 1, end - 1)
}

/** Returns whether an array has its own brackets, that is, does not stand for a run of elements. */
function isBracketed({ bytes, start, end }: Json): boolean {
  return bytes[start] === OPEN[0] && bytes[end - 1] === CLOSE[0]
}
