import { newSpanId } from './context.ts'
import { CLIENT, type EndedSpan, INTERNAL, SERVER } from './otlp.ts'
import type { Attributes, RequestTrace, ServerAddress } from './scope.ts'

/** What is known of a request at its end. Times are those of `performance.now()`. */
export interface RequestFacts {
  method: string
  path: string
  /** Pattern of the route; undefined if none matches. */
  route: string | undefined
  scheme: 'http' | 'https'
  host: string | undefined
  userAgent: string | undefined
  address: string | undefined
  /** 499: the client had gone before the answer was complete. */
  status: number
  startedAt: number
  endedAt: number
  requestId: string
  platform: string | undefined
  database: string | undefined
  function: string | undefined
  error: string | undefined
  sqlstate: string | undefined
  /** When the call asked for a connection, when one began to be opened, and when it had one. */
  askedAt: number | undefined
  openingAt: number | undefined
  leasedAt: number | undefined
  queryMs: number | undefined
}

/** Other methods are `_OTHER` (semantic conventions for HTTP). */
const METHODS = new Set([
  ...['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'QUERY'],
])

const CLIENT_GONE = 499

/** Returns the span of a request and, of a call, those of its wait, its connection and its query. */
export function spansOfRequest(
  trace: RequestTrace,
  facts: RequestFacts,
  server: ServerAddress,
): EndedSpan[] {
  const { askedAt, openingAt, leasedAt, endedAt, queryMs } = facts
  const spans = [requestSpan(trace, facts)]
  if (askedAt === undefined) return spans
  const namespace = { 'db.namespace': facts.database }
  // A call that was refused has waited until then.
  const hadIt = leasedAt ?? endedAt
  const waited = { startedAt: askedAt, endedAt: openingAt ?? hadIt }
  spans.push(childOf(trace, 'wait for connection', INTERNAL, waited, namespace))
  if (openingAt !== undefined) {
    const opened = { startedAt: openingAt, endedAt: hadIt }
    spans.push(childOf(trace, 'connect', CLIENT, opened, { ...ofServer(server), ...namespace }))
  }
  if (leasedAt === undefined) return spans
  const ran = {
    startedAt: leasedAt,
    endedAt: Math.min(endedAt, leasedAt + (queryMs ?? endedAt - leasedAt)),
  }
  const name = facts.function === undefined ? 'SELECT' : `SELECT ${facts.function}`
  const query = childOf(trace, name, CLIENT, ran, {
    ...ofServer(server),
    ...namespace,
    'db.operation.name': 'SELECT',
    'db.stored_procedure.name': facts.function,
    'db.response.status_code': facts.sqlstate,
    'error.type': facts.sqlstate ?? facts.error,
  })
  query.failure = facts.sqlstate ?? facts.error
  spans.push(query)
  return spans
}

function requestSpan(trace: RequestTrace, facts: RequestFacts): EndedSpan {
  const { method, route, status, error, host } = facts
  const known = METHODS.has(method) ? method : '_OTHER'
  const [, name, port] = /^(.*?)(?::(\d+))?$/.exec(host ?? '')!
  const isGone = status === CLIENT_GONE
  const hasFailed = status >= 500
  const failure = error ?? String(status)
  return {
    traceId: trace.traceId,
    spanId: trace.spanId,
    parentId: trace.parent?.spanId,
    isParentRemote: trace.parent !== undefined,
    traceState: trace.parent?.traceState,
    name: route === undefined ? known : `${known} ${route}`,
    kind: SERVER,
    startedAt: facts.startedAt,
    endedAt: facts.endedAt,
    attributes: {
      'http.request.method': known,
      'http.request.method_original': known === method ? undefined : method,
      'url.path': facts.path,
      'url.scheme': facts.scheme,
      'http.route': route,
      'http.response.status_code': isGone ? undefined : status,
      'server.address': name || undefined,
      'server.port': port === undefined ? undefined : Number(port),
      'client.address': facts.address,
      'user_agent.original': facts.userAgent,
      'error.type': isGone ? 'client_gone' : hasFailed ? failure : error,
      'db_gateway.request_id': facts.requestId,
      'db_gateway.platform': facts.platform,
      'db_gateway.function': facts.function,
      'db.namespace': facts.database,
    },
    failure: hasFailed ? failure : undefined,
  }
}

function ofServer({ host, port }: ServerAddress): Attributes {
  return { 'db.system.name': 'postgresql', 'server.address': host, 'server.port': port }
}

function childOf(
  { traceId, spanId, parent }: RequestTrace,
  name: string,
  kind: EndedSpan['kind'],
  times: Pick<EndedSpan, 'startedAt' | 'endedAt'>,
  attributes: Attributes,
): EndedSpan {
  return {
    traceId,
    spanId: newSpanId(),
    parentId: spanId,
    isParentRemote: false,
    traceState: parent?.traceState,
    name,
    kind,
    ...times,
    attributes,
    failure: undefined,
  }
}
