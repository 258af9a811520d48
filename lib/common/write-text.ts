/** Up to this length, a loop in JavaScript copies ASCII faster than `Buffer.write`. */
const SHORT_LENGTH = 64

/**
 * Writes a text in UTF-8 at an offset and returns the offset behind it. `bytes` must have room for it: three
 * bytes for each UTF-16 unit suffice.
 */
export function writeText(bytes: Buffer, at: number, text: string): number {
  const { length } = text
  if (length <= SHORT_LENGTH && writeAscii(bytes, at, text)) return at + length
  return at + bytes.write(text, at)
}

/** Returns false for a text that is not ASCII, of which it may have written a part. */
function writeAscii(bytes: Buffer, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit > 127) return false
    bytes[at + i] = unit
  }
  return true
}
