/** Returns whether every byte is zero; true for an empty array. Costs one memcmp. */
export function isZero(bytes: Uint8Array): boolean {
  if (bytes.length === 0) return true
  if (bytes[0] !== 0) return false
  // If the bytes equal themselves shifted by one, all of them equal the first.
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  return view.subarray(1).equals(view.subarray(0, -1))
}
