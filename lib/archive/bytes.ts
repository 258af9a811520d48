/** Whether every byte is zero; true for none at all. One memcmp, however long it is. */
export function isZero(bytes: Uint8Array): boolean {
  if (bytes.length === 0) return true
  if (bytes[0] !== 0) return false
  // Equal to itself one byte further on: every byte is as the first.
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  return view.subarray(1).equals(view.subarray(0, -1))
}
