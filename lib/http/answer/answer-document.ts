import { type H3Event, HTTPResponse } from 'h3'
import { nodeOf } from '../request.ts'
import { chooseEncoding, compress } from './compress.ts'
import { isNoneMatch, weakEtag } from './etag.ts'

/**
 * Answers with a document, or with 304 if the client has it. Clients must ask before each use.
 * @param more further headers; cache-control takes the place of that rule
 */
export async function answerDocument(
  event: H3Event,
  type: string,
  bytes: Buffer,
  more: Record<string, string> = {},
): Promise<HTTPResponse> {
  const { headers } = nodeOf(event).req
  const etag = weakEtag(bytes)
  const caching = {
    etag,
    'cache-control': 'private, no-cache',
    vary: 'accept-encoding',
    ...more,
  }
  if (!isNoneMatch(headers['if-none-match'], etag)) {
    return new HTTPResponse(null, { status: 304, headers: caching })
  }
  const encoding = chooseEncoding(headers['accept-encoding'])
  const body = encoding ? await compress(encoding, bytes) : bytes
  return new HTTPResponse(body as Uint8Array<ArrayBuffer>, {
    headers: {
      'content-type': type,
      ...caching,
      ...(encoding && { 'content-encoding': encoding }),
    },
  })
}
