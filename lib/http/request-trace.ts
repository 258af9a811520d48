import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { RequestFacts } from '../tracing/request-spans.ts'
import type { RequestContext } from './request.ts'

/** Path of the counter of requests that match no route, for which h3 answers them with every method. */
export const OTHERS = '/**'

/** Returns what the spans of a request say of it, at its end. */
export function factsOf(
  req: IncomingMessage,
  request: RequestContext,
  path: string,
  status: number,
): RequestFacts {
  const { client, counter } = request
  return {
    method: req.method ?? '',
    path,
    route: counter?.path === OTHERS ? undefined : counter?.path,
    scheme: (req.socket as TLSSocket).encrypted ? 'https' : 'http',
    host: req.headers.host,
    userAgent: req.headers['user-agent'],
    address: request.address,
    status,
    startedAt: request.startedAt,
    endedAt: performance.now(),
    requestId: request.id,
    platform: request.platform,
    database: request.database,
    function: request.function,
    error: request.error,
    sqlstate: request.sqlstate,
    askedAt: client.askedAt,
    openingAt: client.openingAt,
    leasedAt: client.leasedAt,
    queryMs: request.queryMs,
  }
}
