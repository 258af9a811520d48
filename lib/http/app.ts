import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import {
  type EventHandler,
  H3,
  type H3Event,
  type H3EventContext,
  type HTTPError,
  type HTTPMethod,
  HTTPResponse,
  toResponse,
} from 'h3'
import { NodeRequest, sendNodeResponse } from 'srvx/node'
import { GatewayError } from '../errors.ts'
import { RouteCounter } from '../metrics/requests.ts'
import { answerError, logFailure } from './answer/answer-error.ts'
import { withoutQuery } from './body/no-query.ts'
import { guard } from './guard.ts'
import { newContext, nodeOf, type RequestContext } from './request.ts'
import { createEvent } from './request-event.ts'
import { factsOf, OTHERS } from './request-trace.ts'
import { RouteTable } from './route-table.ts'
import type { Route } from './routes.ts'

type Gateway = H3EventContext['gateway']

/** Logged status of a request whose client disconnected before the answer was complete. */
const CLIENT_GONE = 499

/** As OTHERS, below /admin. */
const OTHERS_OF_ADMIN = '/admin/**'

/**
 * Returns the gateway's listener for node:http. It identifies the client, calls the handler of the
 * route, turns errors into answers and logs one line per request. Plain paths are looked up in a
 * table; all other requests go through h3, which has the same handlers. A handler may write its
 * answer to Node's response itself; h3 sends a value that it returns.
 */
export function createListener(gateway: Gateway, routes: Route[]): RequestListener {
  const guarded = routes.map(({ method, path, access, token, takesQuery, handler }) => ({
    method,
    path,
    handler: guard(
      gateway.config,
      { access, token },
      counterOf(gateway, method, path),
      takesQuery || method === 'GET' ? handler : withoutQuery(handler),
    ),
  }))
  const table = new RouteTable(guarded, [OTHERS, OTHERS_OF_ADMIN])
  const app = createApp(gateway, guarded)
  return (req, res) => {
    const request = newContext(gateway.config, req)
    request.trace = gateway.tracing?.tracer.begin(req.headers)
    res.on('close', () => {
      if (!res.writableFinished) request.client.leave()
      gateway.inFlight.remove(request)
      logRequest(gateway, req, res, request)
    })
    const match = table.find(req.method!, req.url!)
    if (match) {
      const event = createEvent(req, res, { gateway, request, params: match.params })
      answer(event, match.route.handler)
    } else {
      const asked = new NodeRequest({ req, res })
      asked.context = { gateway, request }
      send(gateway, request, res, app.fetch(asked))
    }
  }
}

/** Request target of an OPTIONS request for the whole server (RFC 9110, 9.3.7). */
const SERVER = '*'

type GuardedRoute = Pick<Route, 'method' | 'path' | 'handler'>

function createApp(gateway: Gateway, routes: GuardedRoute[]): H3 {
  const app = new H3({ silent: true, onError })
  for (const { method, path, handler } of routes) {
    app.on(method as HTTPMethod, path, handler)
    if (method === 'GET') app.on('HEAD', path, handler)
  }
  const methodsOf = createMethodFinder(routes)
  const others = counterOf(gateway, '', OTHERS)
  const answerOthers = (event: H3Event) => {
    const { method, url } = nodeOf(event).req
    const isOfServer = method === 'OPTIONS' && url === SERVER
    return otherRequest(event, methodsOf(isOfServer ? SERVER : event.url.pathname))
  }
  app.all(OTHERS, guard(gateway.config, { access: 'network' }, others, answerOthers))
  app.all(OTHERS_OF_ADMIN, guard(gateway.config, { access: 'admin' }, others, answerOthers))
  return app
}

/** h3 wraps all errors except its own. The answer is already written, so h3's is not sent. */
function onError(error: HTTPError, event: H3Event): HTTPResponse {
  answerError(event, error.unhandled ? error.cause : error)
  return new HTTPResponse(null)
}

/** Answers with the value that the handler returns, unless it has answered itself. */
function answer(event: H3Event, handler: EventHandler): void {
  try {
    const value = handler(event)
    if (value instanceof Promise) {
      value.then(
        (settled) => answerValue(event, settled),
        (error) => answerError(event, error),
      )
    } else {
      answerValue(event, value)
    }
  } catch (error) {
    answerError(event, error)
  }
}

function answerValue(event: H3Event, value: unknown): void {
  const { gateway, request } = event.context
  const { res } = nodeOf(event)
  if (res.headersSent) return
  send(gateway, request, res, toResponse(value, event, { silent: true, onError }))
}

/** Sends the response that h3 made of a handler's value. */
async function send(
  gateway: Gateway,
  request: RequestContext,
  res: ServerResponse,
  response: Response | Promise<Response>,
): Promise<void> {
  try {
    const settled = await response
    if (res.headersSent) return
    res.setHeader('x-request-id', request.id)
    await sendNodeResponse(res, settled)
  } catch (error) {
    logFailure(gateway.log, error, request.id)
    res.destroy()
  }
}

function counterOf(gateway: Gateway, method: string, path: string): RouteCounter {
  const counter = new RouteCounter(method, path)
  gateway.routeCounters.push(counter)
  return counter
}

/** Returns a function that lists the methods of a path; for SERVER, of all routes. */
function createMethodFinder(routes: GuardedRoute[]): (pathname: string) => string[] {
  const patterns = routes.map(({ method, path }) => {
    const escaped = path.replaceAll('.', '\\.')
    const pattern = escaped.replace(/\/\*\*:\w+$/, '(?:/.*)?').replaceAll(/:\w+/g, '[^/]+')
    return {
      pattern: new RegExp(`^${pattern}/?$`),
      methods: method === 'GET' ? ['GET', 'HEAD'] : [method],
    }
  })
  return (pathname) => {
    if (pathname === SERVER) return [...new Set(patterns.flatMap(({ methods }) => methods))]
    const fitting = patterns.filter(({ pattern }) => pattern.test(pathname))
    return [...new Set(fitting.flatMap(({ methods }) => methods))]
  }
}

/** Answers a request that matches no route: OPTIONS, a wrong method, or an unknown path. */
function otherRequest(event: H3Event, methods: string[]): HTTPResponse {
  const { req, res } = nodeOf(event)
  if (methods.length === 0) {
    throw new GatewayError('not_found', `There is no endpoint ${event.url.pathname}`)
  }
  res.setHeader('allow', [...methods, 'OPTIONS'].join(', '))
  if (req.method === 'OPTIONS') return new HTTPResponse(null, { status: 204 })
  throw new GatewayError(
    'method_not_allowed',
    `${event.url.pathname} takes ${methods.join(', ')}, not ${req.method}`,
  )
}

function logRequest(
  { log, metrics, tracing }: Gateway,
  req: IncomingMessage,
  res: ServerResponse,
  request: RequestContext,
): void {
  const url = req.url ?? ''
  const query = url.indexOf('?')
  const status = res.writableFinished ? res.statusCode : CLIENT_GONE
  const ms = performance.now() - request.startedAt
  request.counter?.note(status, ms)
  if (request.error !== undefined) metrics.requests.noteError(request.error, request.database)
  if (request.waitMs !== undefined) metrics.requests.waits.note(request.waitMs)
  if (request.queryMs !== undefined) metrics.requests.queries.note(request.queryMs)
  const path = query < 0 ? url : url.slice(0, query)
  if (request.trace?.scope) tracing?.tracer.end(request.trace, factsOf(req, request, path, status))
  log.request({
    method: req.method ?? '',
    path,
    status,
    ms: Math.round(ms * 10) / 10,
    address: request.address ?? req.socket.remoteAddress,
    request_id: request.id,
    trace_id: request.trace?.traceId,
    span_id: request.trace?.spanId,
    platform: request.platform,
    database: request.database,
    function: request.function,
    error: request.error,
    sqlstate: request.sqlstate,
    wait_ms: request.waitMs,
    query_ms: request.queryMs,
  })
}
