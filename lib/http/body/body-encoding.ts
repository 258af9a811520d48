import type { IncomingMessage, ServerResponse } from 'node:http'
import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate } from 'node:zlib'
import { GatewayError } from '../../errors.ts'

/** Content codings of a JSON body (RFC 9110, 8.4.1); deflate is the zlib format. */
const DECODERS = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
}

export type BodyEncoding = keyof typeof DECODERS

const ACCEPTED = 'gzip, deflate, br'

/**
 * Returns the Content-Encoding of a request's body; undefined for none.
 * @throws {GatewayError} unsupported_media_type for an unknown coding or more than one
 */
export function encodingOf(req: IncomingMessage, res: ServerResponse): BodyEncoding | undefined {
  const encoding = namedEncoding(req)
  if (encoding === undefined) return undefined
  if (Object.hasOwn(DECODERS, encoding)) return encoding as BodyEncoding
  throw unsupported(encoding, ACCEPTED, res)
}

/**
 * Rejects a Content-Encoding, for a body that is compressed itself.
 * @throws {GatewayError} unsupported_media_type
 */
export function refuseEncoding(req: IncomingMessage, res: ServerResponse): void {
  const encoding = namedEncoding(req)
  if (encoding !== undefined) throw unsupported(encoding, 'identity', res)
}

/**
 * Decodes a body of at most `maxBytes` decoded bytes on the thread pool.
 * @throws {GatewayError} payload_too_large, invalid_request
 */
export async function decodeBody(
  bytes: Buffer,
  encoding: BodyEncoding,
  maxBytes: number,
): Promise<Buffer> {
  try {
    return await DECODERS[encoding](bytes, { maxOutputLength: maxBytes })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      const message = `The decoded body is larger than ${maxBytes} bytes`
      throw new GatewayError('payload_too_large', message)
    }
    throw new GatewayError('invalid_request', `The body is not ${encoding}`)
  }
}

function namedEncoding(req: IncomingMessage): string | undefined {
  const encoding = req.headers['content-encoding']?.trim().toLowerCase()
  return encoding === '' || encoding === 'identity' ? undefined : encoding
}

/** Sets Accept-Encoding to the accepted codings (RFC 9110, 15.5.16) and returns the error. */
function unsupported(encoding: string, accepted: string, res: ServerResponse): GatewayError {
  res.setHeader('accept-encoding', accepted)
  return new GatewayError(
    'unsupported_media_type',
    `Content-Encoding is ${encoding}; the gateway takes ${accepted}`,
  )
}
