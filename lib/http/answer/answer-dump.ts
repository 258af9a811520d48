import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { TLSSocket } from 'node:tls'
import type { H3Event } from 'h3'
import type { DumpSink } from '../../deploy/transfer/export.ts'
import { GatewayError } from '../../errors.ts'
import { nodeOf } from '../request.ts'
import { toldError } from './answer-error.ts'

/**
 * Answers with a dump at the client's speed. The head is sent with the first bytes, so that an
 * earlier error is answered like any other. A later error resets the connection, so that the answer
 * does not look complete.
 * So does a reload after which the client may no longer have it.
 * @param fileName name under which a browser saves it
 * @param run writes the dump; the answer is complete when it resolves
 * @throws {GatewayError} the error of `run`, if nothing was sent yet
 */
export async function answerDump(
  event: H3Event,
  fileName: string,
  run: (sink: DumpSink) => Promise<unknown>,
): Promise<void> {
  const { request, gateway } = event.context
  const { req, res } = nodeOf(event)
  const gone = new AbortController()
  res.once('close', () => {
    const reason = new GatewayError('query_timeout', 'The client disconnected')
    if (!res.writableFinished) gone.abort(reason)
  })
  const tellCut = ({ code, message }: GatewayError, cause?: string) => {
    request.error = code
    const { database } = request
    gateway.log.warn(`An export was cut: ${message}`, { request_id: request.id, database, cause })
  }
  gateway.longAnswers.hold(event, (refusal) => {
    if (!refusal || res.destroyed) return
    tellCut(refusal)
    gone.abort(refusal)
    cut(event)
  })
  const writeHead = () =>
    res.writeHead(200, {
      'content-type': 'application/octet-stream',
      'content-disposition': `attachment; filename="${fileName}"`,
      'cache-control': 'no-store',
      'x-request-id': request.id,
    })
  if (req.method === 'HEAD') {
    writeHead().end()
    return
  }
  const send: DumpSink['send'] = async (dump) => {
    let bytes = 0
    const count = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        bytes += chunk.length
        done(null, chunk)
      },
    })
    writeHead()
    await pipeline(dump, count, res, { end: false })
    return bytes
  }
  try {
    await run({ send, gone: gone.signal })
    res.end()
  } catch (error) {
    if (!res.headersSent) throw error
    // The client disconnected: the request's log line tells that.
    if (res.destroyed) return
    const told = toldError(error)
    tellCut(told, error instanceof GatewayError ? error.details.cause : (error as Error).stack)
    cut(event)
  }
}

/**
 * Closes the connection by a reset where it can: a client of HTTP/1.0, and a proxy that is one, takes
 * the plain end of the connection for the end of the answer. With TLS the missing close_notify tells.
 */
function cut(event: H3Event): void {
  const { res } = nodeOf(event)
  const { socket } = res
  if (socket && !(socket instanceof TLSSocket)) socket.resetAndDestroy()
  res.destroy()
}
