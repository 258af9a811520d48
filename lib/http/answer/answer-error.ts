import { type H3Event, HTTPError } from 'h3'
import { GatewayError, retryAfter } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { nodeOf, noteFailedTiming } from '../request.ts'
import { isLong, jsonInSlices } from './json-slices.ts'

/**
 * Answers with an error on Node's own response, as a success is answered. Where the head of an
 * answer is out already, the connection is cut, so that the answer is not taken for whole.
 */
export function answerError(event: H3Event, cause: unknown): void {
  const { gateway, request } = event.context
  const error = toGatewayError(gateway.log, cause, request.id)
  const fail = (failure: unknown) => {
    logFailure(gateway.log, failure, request.id)
    nodeOf(event).res.destroy()
  }
  try {
    if (!isLong(error)) writeError(event, error, JSON.stringify(error))
    else
      jsonInSlices(error)
        .then((body) => writeError(event, error, body))
        .catch(fail)
  } catch (failure) {
    fail(failure)
  }
}

function writeError(event: H3Event, error: GatewayError, body: string): void {
  const { gateway, request } = event.context
  const { req, res } = nodeOf(event)
  gateway.audit.noteRefused(request, req, error)
  noteFailedTiming(request)
  request.error = error.code
  request.sqlstate ??= error.details.sqlstate
  if (res.headersSent) {
    if (!res.writableEnded) res.destroy()
    return
  }
  const head = [
    'content-type',
    'application/json; charset=utf-8',
    'content-length',
    String(Buffer.byteLength(body)),
    'x-request-id',
    request.id,
  ]
  const retry = retryAfter(error)
  if (retry) head.push('retry-after', retry)
  if (error.status === 401) head.push('www-authenticate', 'Bearer')
  res.writeHead(error.status, head)
  res.end(req.method === 'HEAD' ? undefined : body)
}

/** What is not an error for clients stays in the log. */
function toGatewayError(log: Log, cause: unknown, id: string): GatewayError {
  if (cause instanceof GatewayError) return cause
  // h3's own refusals, such as a path with a broken escape.
  if (HTTPError.isError(cause) && cause.status >= 400 && cause.status < 500) {
    return new GatewayError('invalid_request', 'Bad request')
  }
  logFailure(log, cause, id)
  return new GatewayError('internal_error', 'Something went wrong; the log says what', {
    request_id: id,
  })
}

/** Writes an error to the log that no client is told of. */
export function logFailure(log: Log, cause: unknown, id: string): void {
  log.error('Request failed', {
    request_id: id,
    error: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause),
  })
}
