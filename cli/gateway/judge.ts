import type { ClientRequest, IncomingMessage } from 'node:http'
import { Failure, PROGRAM } from '../command.ts'
import { RequestFailed } from './request-failed.ts'
import type { Target } from './target.ts'

/** Content types of answers. */
export const JSON_TYPE = 'application/json'
export const LINES_TYPE = 'application/x-ndjson'

/** Returns whether an answer has the status of a success; those that send elsewhere are none. */
export function isDone({ statusCode = 0 }: IncomingMessage): boolean {
  return statusCode >= 200 && statusCode < 300
}

/** Returns whether an answer is of a content type. */
export function isOfType({ headers }: IncomingMessage, type: string): boolean {
  return (headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase() === type
}

/**
 * Returns the JSON object of an answer, or of a line of one.
 * @throws {Failure} if it is none
 */
export function parse(target: Target, response: IncomingMessage, body: string) {
  try {
    const value = JSON.parse(body)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch {
    // What is no JSON is no answer of a gateway.
  }
  throw noGateway(target, response)
}

/** Returns the failure of an answer that is none of a gateway. */
export function noGateway({ url }: Target, { statusCode = 0, headers }: IncomingMessage): Failure {
  const { location } = headers
  const isElsewhere = statusCode >= 300 && statusCode < 400 && location !== undefined
  return new Failure(
    isElsewhere
      ? `${url} answers ${statusCode} and names ${location}: name the gateway itself with --url`
      : `${url} answers ${statusCode}, but not as a Database Gateway: name the gateway with --url`,
  )
}

/** Returns the failure that an answer tells of which `isDone` does not hold for. */
export function failureOf(
  target: Target,
  response: IncomingMessage,
  body: string,
): RequestFailed | Failure {
  const { statusCode = 0 } = response
  if (statusCode < 400) return noGateway(target, response)
  const value = parse(target, response, body)
  if (typeof value.error === 'string' && typeof value.message === 'string') {
    return new RequestFailed(statusCode, value)
  }
  return new Failure(`${target.url} answers ${statusCode}: ${body.slice(0, 200)}`)
}

/** Returns the failure of an answer that ended early. */
export function broken({ url }: Target, response: IncomingMessage): Failure {
  const { method, path } = (response as IncomingMessage & { req: ClientRequest }).req
  return new Failure(`The connection to ${url} broke. ${afterwards(method, path)}`)
}

/** Says what became of a request without an answer. */
function afterwards(method: string, path: string): string {
  if (method === 'GET') return 'Nothing is changed: try again'
  return /^\/(register|migrate|admin\/revert)$/.test(new URL(path, 'http://x').pathname)
    ? 'The gateway finishes what it has begun; the same command again does what is left'
    : 'The gateway may have done what was asked: look before you ask again'
}

/** Returns the failure of a request that got no answer. */
export function unreachable(
  { url }: Target,
  error: NodeJS.ErrnoException,
  method: string,
  path: string,
): Failure {
  // It was there, and has gone without an answer.
  if (error.code === 'ECONNRESET' && method !== 'GET') {
    return new Failure(`${url} gives no answer: ${error.message}. ${afterwards(method, path)}`)
  }
  // Messages of OpenSSL have several lines.
  const why = (error.message || error.code || 'no answer').split('\n')[0]
  const advice: Record<string, string> = {
    ECONNREFUSED: `. Start one with \`${PROGRAM} start\`, or name another with --url`,
    EPROTO: '. Does it speak http:// alone?',
  }
  return new Failure(`No gateway answers at ${url}: ${why}${advice[error.code ?? ''] ?? ''}`)
}
