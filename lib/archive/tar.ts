import { parseTar } from 'nanotar'
import { refusal } from './refuse.ts'
import { BLOCK } from './tar-header.ts'
import { type TarHeader, walkTar } from './walk.ts'

/** A file or folder of a tar. */
export interface TarEntry {
  name: string // full name as the archive has it, neither normalised nor checked
  isFolder: boolean
  data: Uint8Array
}

/**
 * Reads the files and folders of a tar, in its order. Headers that describe another entry count
 * towards `maxEntries`. Needs about the size of `bytes` in additional memory.
 * @throws {GatewayError} schema_extraction_failed: the errors of `walkTar`
 */
export function readTar(bytes: Buffer, maxEntries: number): TarEntry[] {
  const { headers, end } = walkTar(bytes, maxEntries)
  const items = parseTar(plainTar(bytes, headers, end))
  if (items.length !== headers.length) throw disagreement(headers.length, items.length)

  const entries: TarEntry[] = []
  for (const [index, { size, entry }] of headers.entries()) {
    const item = items[index]!
    if (item.name !== String(index) || item.size !== size) throw disagreement(index, item.name)
    if (entry) entries.push({ ...entry, data: item.data ?? new Uint8Array(0) })
  }
  return entries
}

/**
 * Returns a copy of the tar that has one interpretation. Each header becomes that of a plain file
 * with its index as the name and its true size. nanotar then has nothing to interpret: it stops at
 * an empty name, misreads base-256 sizes, pax records and ustar's prefix, and applies every record
 * of a global header to every entry. The copy has an ArrayBuffer of its own, because nanotar reads
 * the whole buffer, and ends with the two zero blocks that nanotar expects.
 */
function plainTar(bytes: Buffer, headers: TarHeader[], end: number): ArrayBuffer {
  const copy = Buffer.from(new ArrayBuffer(end + 2 * BLOCK))
  bytes.copy(copy, 0, 0, end)
  for (const [index, { offset, size }] of headers.entries()) {
    copy.fill(0, offset, offset + BLOCK)
    copy.write(String(index), offset, 100, 'latin1')
    copy.write(size.toString(8), offset + 124, 12, 'latin1')
    copy.write('0', offset + 156, 1, 'latin1')
  }
  return copy.buffer
}

function disagreement(expected: number, found: number | string): Error {
  return refusal('The tar is ambiguous: two readers find different entries in it', {
    cause: `expected ${expected}, found ${found}`,
  })
}
