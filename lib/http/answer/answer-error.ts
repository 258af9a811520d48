import { type H3Event, HTTPError } from 'h3'
import { toldCancelled } from '../../call/cancelled.ts'
import { GatewayError, retryAfter } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { nodeOf, noteFailedTiming } from '../request.ts'
import { isLong, jsonInSlices } from './json-slices.ts'

const INTERNAL_ERROR = 'Internal error: the log has its cause under the request id'

/**
 * Answers with an error on Node's response. If the head of an answer has already been sent, closes
 * the connection by force, so that the client does not take the answer for complete.
 */
export function answerError(event: H3Event, cause: unknown): void {
  const { gateway, request } = event.context
  const error = toGatewayError(gateway.log, toldCancelled(request.client, cause), request.id)
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

/** Returns the error for the client. The message of an unexpected error is for the log only. */
function toGatewayError(log: Log, cause: unknown, id: string): GatewayError {
  if (cause instanceof GatewayError) return cause
  // An error of h3 itself, such as for an invalid escape in the path.
  if (HTTPError.isError(cause) && cause.status >= 400 && cause.status < 500) {
    return new GatewayError(
      'invalid_request',
      'The request is malformed: check the percent-encoding of its path',
    )
  }
  logFailure(log, cause, id)
  return new GatewayError('internal_error', INTERNAL_ERROR, {
    request_id: id,
  })
}

/** Returns the error that a client is told after its answer has begun; the caller logs the cause. */
export function toldError(cause: unknown): GatewayError {
  return cause instanceof GatewayError ? cause : new GatewayError('internal_error', INTERNAL_ERROR)
}

/** Logs an unexpected error with its stack. */
export function logFailure(log: Log, cause: unknown, id: string): void {
  log.error('Request failed', {
    request_id: id,
    error: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause),
  })
}
