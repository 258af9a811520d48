/** Pieces of at least this size are not copied. */
const LONG_BYTES = 16 * 1024

/** Returns the same bytes in fewer pieces: consecutive short pieces are concatenated. */
export function joinShort(pieces: Buffer[]): Buffer[] {
  const joined: Buffer[] = []
  let short: Buffer[] = []
  for (const piece of pieces) {
    if (piece.length < LONG_BYTES) {
      short.push(piece)
      continue
    }
    if (short.length > 0) joined.push(Buffer.concat(short))
    short = []
    joined.push(piece)
  }
  if (short.length > 0) joined.push(Buffer.concat(short))
  return joined
}
