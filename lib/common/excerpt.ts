/** The most that is kept of one text of an error: PostgreSQL repeats whole values in them. */
export const MAX_EXCERPT_BYTES = 1024

const ELLIPSIS = '…'
const ELLIPSIS_BYTES = 3

/** The text in UTF-8 from `start` to `end`, cut at a character to at most 1,024 bytes with "…". */
export function excerptOf(bytes: Buffer, start: number, end: number): string {
  if (end - start <= MAX_EXCERPT_BYTES) return bytes.toString('utf8', start, end)
  let cut = start + MAX_EXCERPT_BYTES - ELLIPSIS_BYTES
  // 10xxxxxx is the second, third or fourth byte of a character; none has more than four.
  for (let i = 0; i < 3 && (bytes[cut]! & 0xc0) === 0x80; i++) cut--
  return bytes.toString('utf8', start, cut) + ELLIPSIS
}

/** Cuts a text at a character to at most 1,024 bytes of UTF-8 with "…". */
export function excerpt(text: string): string {
  // A UTF-16 unit is at most three bytes.
  if (text.length * 3 <= MAX_EXCERPT_BYTES) return text
  const bytes = Buffer.from(text.slice(0, MAX_EXCERPT_BYTES + 1))
  return bytes.length <= MAX_EXCERPT_BYTES ? text : excerptOf(bytes, 0, bytes.length)
}
