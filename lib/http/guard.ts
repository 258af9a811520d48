import type { IncomingMessage } from 'node:http'
import type { EventHandler } from 'h3'
import type { Config } from '../config.ts'
import { GatewayError } from '../errors.ts'
import type { RouteCounter } from '../metrics/requests.ts'
import { type Access, checkAccess, type TokenKind } from './access/access.ts'
import { crossSiteProblem } from './access/cross-site.ts'
import { checkHead } from './listener/http-limits.ts'
import { nodeOf, type RequestContext } from './request.ts'

/** Returns a handler that checks access before it calls the given one. */
export function guard(
  config: Config,
  { access, token }: { access: Access; token?: TokenKind | undefined },
  counter: RouteCounter,
  handler: EventHandler,
): EventHandler {
  return (event) => {
    const { request } = event.context
    const { req } = nodeOf(event)
    request.counter = counter
    request.access = access
    checkHead(req)
    checkClient(config, req, request, access, token)
    return handler(event)
  }
}

/**
 * Checks that a request may use an endpoint, and comes from no page of another site.
 * @throws {GatewayError} as `checkAccess`; cross_site_refused
 */
export function checkClient(
  config: Config,
  { headers }: IncomingMessage,
  request: RequestContext,
  access: Access,
  token: TokenKind = 'admin',
): void {
  checkAccess(access, request, headers.authorization, config, token)
  const problem = crossSiteProblem(headers, request.isLoopback, config, token === 'none')
  if (problem === undefined) return
  // Health probes use arbitrary host names: they get the answer of an address not allowed.
  if (access !== 'public') throw new GatewayError('cross_site_refused', problem)
  request.isAllowed = false
}
