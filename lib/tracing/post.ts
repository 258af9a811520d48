import { type IncomingMessage, Agent as PlainAgent, request as requestPlainly } from 'node:http'
import { request as requestSecurely, Agent as SecureAgent } from 'node:https'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'

const compress = promisify(gzip)

/** Characters of an answer that are read; a longer one ends its connection. */
const MAX_ANSWER_LENGTH = 64 * 1024

export interface PostOptions {
  url: URL
  headers: [name: string, value: string][]
  isCompressed: boolean
  timeoutMs: number
}

export interface Posted {
  status: number
  retryAfter: string | undefined
  body: string
}

/**
 * Returns a function that posts JSON to a URL over a connection that it keeps. Redirects are not
 * followed, so that headers with tokens go nowhere else.
 */
export function createPost({ url, headers, isCompressed, timeoutMs }: PostOptions): {
  post(text: string): Promise<Posted>
  close(): void
} {
  const isSecure = url.protocol === 'https:'
  const options = { keepAlive: true, maxSockets: 1 }
  const agent = isSecure ? new SecureAgent(options) : new PlainAgent(options)
  const request = isSecure ? requestSecurely : requestPlainly
  const send = (body: Buffer) =>
    new Promise<Posted>((resolve, reject) => {
      const sent = request(url, {
        method: 'POST',
        agent,
        headers: {
          ...Object.fromEntries(headers),
          'content-type': 'application/json',
          'content-length': body.length,
          ...(isCompressed && { 'content-encoding': 'gzip' }),
        },
        signal: AbortSignal.timeout(timeoutMs),
      })
      sent.on('error', reject)
      sent.on('response', (answer) => read(answer).then(resolve, reject))
      sent.end(body)
    })
  return {
    post: async (text) => send(isCompressed ? await compress(text) : Buffer.from(text)),
    close: () => agent.destroy(),
  }
}

async function read(answer: IncomingMessage): Promise<Posted> {
  let body = ''
  for await (const chunk of answer.setEncoding('utf8')) {
    body += chunk
    if (body.length >= MAX_ANSWER_LENGTH) break
  }
  const retryAfter = answer.headers['retry-after']
  return { status: answer.statusCode!, retryAfter, body }
}
