import { createGunzip } from 'node:zlib'
import { isZero } from './bytes.ts'
import { refusal } from './refuse.ts'

/**
 * Unpacks a gzip file (RFC 1952) of one or more members, off the main thread. Stops after
 * `maxBytes` bytes, which bounds memory use. Ignores zero bytes at the end, which are padding, as
 * gzip(1) does.
 * @throws {GatewayError} schema_extraction_failed: not a gzip file, truncated, damaged, followed
 *   by other data, over the limit
 */
export async function gunzip(bytes: Uint8Array, maxBytes: number): Promise<Buffer> {
  if (bytes.length === 0) throw refusal('The archive is empty: 0 bytes were sent')
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) throw refusal(`Not a gzip file: ${looksLike(bytes)}`)

  const stream = createGunzip({ chunkSize: 64 * 1024 })
  const chunks: Buffer[] = []
  let length = 0
  stream.end(bytes)
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length > maxBytes) break
      chunks.push(chunk)
    }
  } catch (error) {
    throw unzipRefusal(error as NodeJS.ErrnoException)
  }
  if (length > maxBytes) {
    throw refusal(`The archive unpacks to more than ${maxBytes} bytes (MAX_UNPACKED_BYTES)`)
  }
  // zlib stops at a zero byte after a member and ignores everything after it.
  if (!isZero(bytes.subarray(stream.bytesWritten))) throw trailingData()
  return Buffer.concat(chunks, length)
}

function unzipRefusal(error: NodeJS.ErrnoException): Error {
  if (error.code === 'Z_BUF_ERROR') {
    return refusal('The gzip file is truncated: it ends before its data does', {
      cause: error.message,
    })
  }
  // The header of the first member was checked above, so the fault lies after a complete member.
  if (error.message === 'incorrect header check') return trailingData()
  return refusal('The gzip file is damaged', { cause: error.message })
}

function trailingData(): Error {
  return refusal('The gzip file is followed by other data')
}

/** File types that clients send by mistake, by their first bytes. */
const MAGIC: [name: string, offset: number, bytes: string][] = [
  ['a zip file', 0, 'PK'],
  ['a bzip2 file', 0, 'BZh'],
  ['an xz file', 0, '\xfd7zXZ'],
  ['a zstd file', 0, '\x28\xb5\x2f\xfd'],
  ['a tar that is not compressed', 257, 'ustar'],
]

function looksLike(bytes: Uint8Array): string {
  const start = Buffer.from(bytes.subarray(0, 512)).toString('latin1')
  const found = MAGIC.find(([, offset, magic]) => start.startsWith(magic, offset))
  const what = found ? `it looks like ${found[0]}` : 'it does not start with 1f 8b'
  return `${what}; send a .tar.gz`
}
