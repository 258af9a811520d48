import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import {
  type EventHandler,
  H3,
  type H3Event,
  type HTTPError,
  type HTTPMethod,
  HTTPResponse,
} from 'h3'
import { NodeRequest, sendNodeResponse } from 'srvx/node'
import { checkAccess } from './access.ts'
import { noteRefused } from './audit/refused.ts'
import { GatewayError, retryAfter } from './errors.ts'
import type { Gateway } from './gateway.ts'
import { checkHead } from './http-limits.ts'
import { RouteCounter } from './metrics/requests.ts'
import { newContext, nodeOf, type RequestContext } from './request.ts'
import type { Route } from './routes.ts'

/** The log's status of a request whose client went away before it was answered. */
const CLIENT_GONE = 499

/**
 * The gateway as a listener for node:http: finds out who asks, sends the request to its handler,
 * turns errors into answers, and writes a line of log for each request. A handler may also answer
 * on Node's response itself: h3's own way from a value to the socket costs as much as a call.
 */
export function createListener(gateway: Gateway, routes: Route[]): RequestListener {
  const app = createApp(gateway, routes)
  return (req, res) => {
    const context = newContext(gateway.config, req)
    res.once('close', () => {
      if (!res.writableFinished) context.onGone?.()
      logRequest(gateway, req, res, context)
    })
    const request = new NodeRequest({ req, res })
    request.context = { gateway, request: context }
    Promise.resolve(app.fetch(request))
      .then((response) => {
        if (res.headersSent) return
        res.setHeader('x-request-id', context.id)
        return sendNodeResponse(res, response)
      })
      .catch((error) => {
        logFailure(gateway, error, context.id)
        res.destroy()
      })
  }
}

function createApp(gateway: Gateway, routes: Route[]): H3 {
  const app = new H3({
    silent: true,
    onError: (error, event) => answerError(gateway, error, event),
  })
  for (const { method, path, access, handler } of routes) {
    const guarded = guard(gateway, access, counterOf(gateway, method, path), handler)
    app.on(method as HTTPMethod, path, guarded)
    if (method === 'GET') app.on('HEAD', path, guarded)
  }
  const methodsOf = createMethodFinder(routes)
  const others = counterOf(gateway, '', '/**')
  const answerOthers = (event: H3Event) => otherRequest(event, methodsOf(event.url.pathname))
  app.all('/**', guard(gateway, 'network', others, answerOthers))
  app.all('/admin/**', guard(gateway, 'admin', others, answerOthers))
  return app
}

function counterOf(gateway: Gateway, method: string, path: string): RouteCounter {
  const counter = new RouteCounter(method, path)
  gateway.routeCounters.push(counter)
  return counter
}

function guard(
  gateway: Gateway,
  access: Route['access'],
  counter: RouteCounter,
  handler: EventHandler,
): EventHandler {
  const { config } = gateway
  return (event) => {
    const { req } = nodeOf(event)
    event.context.request.counter = counter
    event.context.request.access = access
    checkHead(req)
    checkAccess(access, event.context.request, req.headers.authorization, config)
    return handler(event)
  }
}

/** The methods that a path takes, of all the routes that it fits. */
function createMethodFinder(routes: Route[]): (pathname: string) => string[] {
  const patterns = routes.map(({ method, path }) => {
    const pattern = path.replace(/\/\*\*:\w+$/, '(?:/.*)?').replaceAll(/:\w+/g, '[^/]+')
    return {
      pattern: new RegExp(`^${pattern}/?$`),
      methods: method === 'GET' ? ['GET', 'HEAD'] : [method],
    }
  })
  return (pathname) => {
    const fitting = patterns.filter(({ pattern }) => pattern.test(pathname))
    return [...new Set(fitting.flatMap(({ methods }) => methods))]
  }
}

/** What no route takes: another method of a path that is there, or a path that is not. */
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

function answerError(gateway: Gateway, { cause, status }: HTTPError, event: H3Event): HTTPResponse {
  const { req, res } = nodeOf(event)
  const error = asGatewayError(gateway, cause, status, event.context.request.id)
  noteRefused(gateway.audit, event.context.request, req, error)
  const retry = retryAfter(error)
  if (retry) res.setHeader('retry-after', retry)
  if (error.status === 401) res.setHeader('www-authenticate', 'Bearer')
  return new HTTPResponse(JSON.stringify(error), {
    status: error.status,
    headers: { 'content-type': 'application/json; charset=utf-8' },
  })
}

/** What is not an error for clients stays in the log. */
function asGatewayError(
  gateway: Gateway,
  cause: unknown,
  status: number,
  id: string,
): GatewayError {
  if (cause instanceof GatewayError) return cause
  // h3's own refusals, such as a path with a broken escape.
  if (status >= 400 && status < 500) return new GatewayError('invalid_request', 'Bad request')
  logFailure(gateway, cause, id)
  return new GatewayError('internal_error', 'Something went wrong; the log says what', {
    request_id: id,
  })
}

function logFailure({ log }: Gateway, cause: unknown, id: string): void {
  log.error('Request failed', {
    request_id: id,
    error: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause),
  })
}

function logRequest(
  { log }: Gateway,
  req: IncomingMessage,
  res: ServerResponse,
  context: RequestContext,
): void {
  const url = req.url ?? ''
  const query = url.indexOf('?')
  const status = res.writableFinished ? res.statusCode : CLIENT_GONE
  const ms = performance.now() - context.startedAt
  context.counter?.note(status, ms)
  log.request({
    method: req.method ?? '',
    path: query < 0 ? url : url.slice(0, query),
    status,
    ms: Math.round(ms * 10) / 10,
    address: context.address ?? req.socket.remoteAddress,
    request_id: context.id,
    platform: context.platform,
    database: context.database,
  })
}
