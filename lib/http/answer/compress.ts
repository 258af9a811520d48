import type { Transform } from 'node:stream'
import { promisify } from 'node:util'
import { brotliCompress, constants, createBrotliCompress, createGzip, gzip } from 'node:zlib'
import { preferred } from './accept.ts'

export type Encoding = 'gzip' | 'br'

const ENCODINGS = ['identity', 'gzip', 'br'] as const

/** Fast levels: rows are repetitive, and a network does not win back the time of higher levels. */
const GZIP = { level: 1 }
const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 2 } }

const toGzip = promisify(gzip)
const toBrotli = promisify(brotliCompress)

/** Returns the encoding that an Accept-Encoding header asks for; undefined for none. */
export function chooseEncoding(header: string | undefined): Encoding | undefined {
  if (header === undefined || !/gzip|br/i.test(header)) return undefined
  const encoding = preferred(header, ENCODINGS)
  return encoding === 'identity' ? undefined : encoding
}

/** Compresses on the thread pool. */
export function compress(encoding: Encoding, bytes: Uint8Array): Promise<Buffer> {
  return encoding === 'gzip' ? toGzip(bytes, GZIP) : toBrotli(bytes, BROTLI)
}

/** Returns a stream that compresses and flushes after each write. */
export function createEncoder(encoding: Encoding): Transform {
  return encoding === 'gzip'
    ? createGzip({ ...GZIP, flush: constants.Z_SYNC_FLUSH })
    : createBrotliCompress({ ...BROTLI, flush: constants.BROTLI_OPERATION_FLUSH })
}
