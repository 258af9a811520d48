import { randomBytes } from 'node:crypto'
import { request } from 'node:http'

/** What the clients of PHP take from an answer. */
export interface PhpResponse {
  code: number
  body: string
}

/** The exception of the clients: its message and code, and what the answer had in it. */
export class GatewayException extends Error {
  readonly code: number
  readonly body: Record<string, unknown> | undefined

  constructor(message: string, code = 0, body?: Record<string, unknown>) {
    super(message)
    this.code = code
    this.body = body
  }

  /** By this the platforms tell errors apart. */
  override get cause(): string {
    return String(this.body?.cause ?? '')
  }
}

/**
 * Sends exactly these headers and `Host`, on a connection of its own, as curl_exec and
 * file_get_contents do.
 */
export function send(
  method: string,
  url: string,
  headers: Record<string, string>,
  body: Buffer | string = '',
): Promise<PhpResponse> {
  const bytes = Buffer.from(body)
  return new Promise((resolve, reject) => {
    const sent = request(url, {
      method,
      agent: false,
      headers: {
        ...headers,
        ...(method !== 'GET' && { 'Content-Length': bytes.length }),
        connection: 'close',
      },
    })
    sent.on('response', (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk) => chunks.push(chunk))
      answer.on('error', reject)
      answer.on('end', () =>
        resolve({ code: answer.statusCode!, body: Buffer.concat(chunks).toString() }),
      )
    })
    sent.on('error', reject)
    sent.end(bytes)
  })
}

/** The 1.x, 2.x and 3.x clients: everything but 200 is an exception, and so is an empty answer. */
// biome-ignore lint/suspicious/noExplicitAny: json_decode
export function decode({ code, body }: PhpResponse): any {
  if (code !== 200) {
    let message = `Gateway returned HTTP ${code}`
    const decoded = parse(body)
    if (decoded?.error !== undefined) message += `: ${decoded.error}`
    if (decoded?.message !== undefined) message += ` - ${decoded.message}`
    throw new GatewayException(message, code, decoded)
  }
  const decoded = parse(body)
  if (decoded === undefined) throw new GatewayException('Failed to decode gateway response')
  return decoded
}

function parse(body: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

/** A form as the clients write it by hand: the boundary is a uniqid(), the file comes last. */
export function writeForm(
  fields: Record<string, string>,
  archive: Uint8Array,
): { type: string; body: Buffer } {
  const boundary = randomBytes(7).toString('hex').slice(0, 13)
  const parts = Object.entries(fields).map(
    ([name, value]) =>
      `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  )
  const head =
    `--${boundary}\r\nContent-Disposition: form-data; name="schema"; filename="postgresql.tar.gz"\r\n` +
    'Content-Type: application/gzip\r\n\r\n'
  const body = Buffer.concat([
    Buffer.from(parts.join('') + head),
    archive,
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ])
  return { type: `multipart/form-data; boundary=${boundary}`, body }
}

/** json_encode of what the clients call a function with: names are dropped, an empty one is `[]`. */
export function positional(params: unknown[] | Record<string, unknown>): unknown[] {
  return Array.isArray(params) ? params : Object.values(params)
}
