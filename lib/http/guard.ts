import type { EventHandler } from 'h3'
import type { Config } from '../config.ts'
import { GatewayError } from '../errors.ts'
import type { RouteCounter } from '../metrics/requests.ts'
import { type Access, checkAccess, type TokenKind } from './access/access.ts'
import { crossSiteProblem } from './access/cross-site.ts'
import { checkHead } from './listener/http-limits.ts'
import { nodeOf } from './request.ts'

/** Returns a handler that checks access before it calls the given one. */
export function guard(
  config: Config,
  { access, token = 'admin' }: { access: Access; token?: TokenKind | undefined },
  counter: RouteCounter,
  handler: EventHandler,
): EventHandler {
  return (event) => {
    const { request } = event.context
    const { req } = nodeOf(event)
    request.counter = counter
    request.access = access
    checkHead(req)
    checkAccess(access, request, req.headers.authorization, config, token)
    const problem = crossSiteProblem(req.headers, request.isLoopback, config, token === 'none')
    if (problem !== undefined) {
      // Health probes use arbitrary host names: they get the answer of an address not allowed.
      if (access !== 'public') throw new GatewayError('cross_site_refused', problem)
      request.isAllowed = false
    }
    return handler(event)
  }
}
