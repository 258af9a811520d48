import { isUtf8 } from 'node:buffer'
import { isZero } from './bytes.ts'
import { type Overrides, readPax } from './pax.ts'
import { quote, refusal } from './refuse.ts'
import { BLOCK, hasChecksum, headerName, headerSize, headerType } from './tar-header.ts'

/** A header of a tar, and the position of its data. */
export interface TarHeader {
  offset: number // position of the header in bytes; its data follows
  size: number // size of the data in bytes
  entry?: { name: string; isFolder: boolean } // undefined if the header only describes another entry
}

const MAX_METADATA_BYTES = 1024 * 1024
const MAX_NAME_BYTES = 4096

const METADATA: Record<string, string> = {
  x: 'pax header',
  g: 'global pax header',
  L: 'GNU long name',
  K: 'GNU long link name',
}

const REFUSED: Record<string, string> = {
  1: 'a hard link',
  2: 'a symbolic link',
  3: 'a character device',
  4: 'a block device',
  6: 'a fifo',
  S: 'a sparse file',
}

/**
 * Reads the headers of a tar: ustar (POSIX.1-1988), pax (POSIX.1-2001), GNU (GNU tar manual, "Basic
 * Tar Format") and V7. Checks every header before it uses its size. Names are complete; `splitName`
 * checks them later.
 * @returns `end`: the position in bytes at which the last entry ends
 * @throws {GatewayError} schema_extraction_failed: not a tar, damaged, truncated, more than
 *   `maxHeaders` headers, or an entry that is neither a file nor a folder
 */
export function walkTar(bytes: Buffer, maxHeaders: number): { headers: TarHeader[]; end: number } {
  const headers: TarHeader[] = []
  let forAll: Overrides = {}
  let forNext: Overrides | undefined
  let offset = 0

  while (offset < bytes.length) {
    const number = headers.length + 1
    const header = bytes.subarray(offset, offset + BLOCK)
    if (isZero(header)) break
    checkHeader(header, number)
    if (number > maxHeaders) {
      throw refusal(`The archive has more than ${maxHeaders} entries (MAX_ARCHIVE_ENTRIES)`)
    }

    const type = headerType(header)
    let size: number
    if (METADATA[type]) {
      const what = `${METADATA[type]} (entry ${number})`
      const data = dataOf(bytes, offset, headerSize(header), what)
      size = data.length
      if (size > MAX_METADATA_BYTES) {
        throw refusal(`The ${what} has ${size} bytes, more than ${MAX_METADATA_BYTES}`)
      }
      if (type === 'g') forAll = { ...forAll, ...readPax(data, `The ${what}`) }
      else if (type === 'x') forNext = { ...forNext, ...readPax(data, `The ${what}`) }
      else if (type === 'L') forNext = { ...forNext, path: withoutEnd(data) }
      else forNext = { ...forNext }
      headers.push({ offset, size })
    } else {
      const overrides = { ...forAll, ...forNext }
      const name = readName(overrides.path ?? headerName(header))
      const isFolder = isFolderType(type, name, overrides)
      size = dataOf(bytes, offset, overrides.size ?? headerSize(header), quote(name)).length
      // Readers disagree on a folder with a size: some take it for a quota without data, others for
      // data.
      if (isFolder && size > 0) {
        throw refusal(`The folder ${quote(name)} has ${size} bytes of data`, { file: name })
      }
      headers.push({ offset, size, entry: { name, isFolder } })
      forNext = undefined
    }
    offset += BLOCK + padded(size)
  }

  if (forNext) throw refusal('The archive is truncated: its last header describes a missing entry')
  if (!isZero(bytes.subarray(offset))) {
    throw refusal('The tar is followed by other data (two archives in one file?)')
  }
  return { headers, end: offset }
}

function checkHeader(header: Buffer, number: number): void {
  const isWhole = header.length === BLOCK
  if (isWhole && hasChecksum(header)) return
  if (number === 1) throw refusal('Not a tar: the content of the gzip file has no tar header')
  throw refusal(
    isWhole
      ? `The archive is damaged: the header of entry ${number} has a wrong checksum`
      : `The archive is truncated within the header of entry ${number}`,
  )
}

function dataOf(bytes: Buffer, offset: number, size: number | undefined, what: string): Buffer {
  if (size === undefined) throw refusal(`The size of ${what} is not a number`)
  const start = offset + BLOCK
  if (start + padded(size) > bytes.length) {
    const left = bytes.length - start
    throw refusal(`The archive is truncated: ${what} needs ${padded(size)} bytes, ${left} are left`)
  }
  return bytes.subarray(start, start + size)
}

function padded(size: number): number {
  return Math.ceil(size / BLOCK) * BLOCK
}

function isFolderType(type: string, name: string, overrides: Overrides): boolean {
  if (overrides.sparse) throw refusedEntry(name, 'a sparse file')
  if (type === '5') return true
  // V7 tars have no type for folders; a folder's name ends in a slash.
  if (type === '0' || type === '7') return name.endsWith('/')
  throw refusedEntry(name, REFUSED[type] ?? `of type ${quote(type)}`)
}

/** Returns the error for an entry that is neither a file nor a folder. */
export function refusedEntry(name: string, what: string): Error {
  return refusal(`${quote(name)} is ${what}: an archive may contain only files and folders`, {
    file: name,
  })
}

/** Removes the NUL at the end of a GNU long name, which its size includes. */
function withoutEnd(name: Buffer): Buffer {
  return name.at(-1) === 0 ? name.subarray(0, -1) : name
}

function readName(name: Buffer): string {
  if (name.length === 0) throw refusal('The archive has an entry without a name')
  const text = name.toString('utf8', 0, MAX_NAME_BYTES)
  if (name.length > MAX_NAME_BYTES) {
    throw refusal(`The name ${quote(text)} is longer than ${MAX_NAME_BYTES} bytes`)
  }
  if (!isUtf8(name)) throw refusal(`The name ${quote(text)} is not valid UTF-8`)
  return text
}
