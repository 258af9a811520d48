/**
 * Longest text of an error that is kept, in bytes: PostgreSQL repeats whole values in its errors.
 */
export const MAX_EXCERPT_BYTES = 1024

const ELLIPSIS = '…'
const ELLIPSIS_BYTES = 3

/**
 * Returns the UTF-8 text from `start` to `end`. A longer one is truncated between characters to
 * MAX_EXCERPT_BYTES with "…".
 */
export function excerptOf(bytes: Buffer, start: number, end: number): string {
  if (end - start <= MAX_EXCERPT_BYTES) return bytes.toString('utf8', start, end)
  let cut = start + MAX_EXCERPT_BYTES - ELLIPSIS_BYTES
  // 10xxxxxx is the second, third or fourth byte of a character; a character has four at most.
  for (let i = 0; i < 3 && (bytes[cut]! & 0xc0) === 0x80; i++) cut--
  return bytes.toString('utf8', start, cut) + ELLIPSIS
}

/** Returns the text, truncated between characters to MAX_EXCERPT_BYTES of UTF-8 with "…". */
export function excerpt(text: string): string {
  // A UTF-16 unit takes at most three bytes in UTF-8.
  if (text.length * 3 <= MAX_EXCERPT_BYTES) return text
  const bytes = Buffer.from(text.slice(0, MAX_EXCERPT_BYTES + 1))
  return bytes.length <= MAX_EXCERPT_BYTES ? text : excerptOf(bytes, 0, bytes.length)
}
