import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { H3Event } from 'h3'
import type { Config } from '../config.ts'
import type { DeployOrigin } from '../deploy/result.ts'
import type { RouteCounter } from '../metrics/requests.ts'
import { type RequestTrace, setScope } from '../tracing/scope.ts'
import { type Access, findClient, isAllowedAddress, type TokenKind } from './access/access.ts'
import { isInNetworks } from './access/networks.ts'
import { mayName } from './access/platform-networks.ts'
import { HttpClient } from './client.ts'
import type { EndpointDocs } from './endpoint-docs.ts'
import { newRequestId } from './request-id.ts'

/** The gateway's data on a request, apart from its content. */
export interface RequestContext {
  id: string
  /** Client's address behind trusted proxies; undefined if a proxy reports no valid address. */
  address: string | undefined
  /** Why the client's address is unknown. */
  problem: string | undefined
  /** Whether the address is in the allowlist, and the request not from another site's page. */
  isAllowed: boolean
  /** Whether the address is a loopback address. */
  isLoopback: boolean
  /** Whether the address may use endpoints with access `admin`. */
  isAdmin: boolean
  /** Whether the client may name a platform; undefined if all clients may name all platforms. */
  mayName: ((platform: string) => boolean) | undefined
  /** `performance.now()` at which the head of the request was complete. */
  startedAt: number
  /** For the log; set as soon as they are known. */
  platform: string | undefined
  database: string | undefined
  function: string | undefined
  /** Error code of the answer, and PostgreSQL's SQLSTATE. */
  error: string | undefined
  sqlstate: string | undefined
  /** Milliseconds of waiting for a connection, and for PostgreSQL's answer. */
  waitMs: number | undefined
  queryMs: number | undefined
  /** Access of the route; undefined, as `counter`, until the route is known. */
  access: Access | undefined
  /** Whether the handler writes its own audit entry. */
  isAudited: boolean
  counter: RouteCounter | undefined
  /** Undefined without tracing. */
  trace: RequestTrace | undefined
  client: HttpClient
  /** Set once the request is in `gateway.inFlight`. */
  callKind: 'call' | 'batch' | 'stream' | undefined
  callNumber: number
  callPlace: number
}

/** Metadata that a handler declares in `defineHandler({ meta })`. */
export interface HandlerMeta extends EndpointDocs {
  access?: Access
  token?: TokenKind
  description?: string
  /** Whether the endpoint takes a query, though its method is not GET. */
  takesQuery?: boolean
}

declare module 'h3' {
  interface H3RouteMeta extends HandlerMeta {}
}

/** Identity of the client of a socket. */
type Peer = Pick<
  RequestContext,
  'address' | 'problem' | 'isAllowed' | 'isLoopback' | 'isAdmin' | 'mayName'
>

/** Cache of peers: without proxies, all requests of a socket come from one address. */
let peers = new WeakMap<Socket, Peer>()

/** Looks at the address of each client anew: the networks have changed. */
export function forgetPeers(): void {
  peers = new WeakMap()
}

/** Returns the context of a request whose head is complete. */
export function newContext(config: Config, req: IncomingMessage): RequestContext {
  const { address, problem, isAllowed, isLoopback, isAdmin, mayName } = peerOf(config, req)
  const id = requestId(req)
  return {
    id,
    address,
    problem,
    isAllowed,
    isLoopback,
    isAdmin,
    mayName,
    startedAt: performance.now(),
    platform: undefined,
    database: undefined,
    function: undefined,
    error: undefined,
    sqlstate: undefined,
    waitMs: undefined,
    queryMs: undefined,
    access: undefined,
    isAudited: false,
    counter: undefined,
    trace: undefined,
    client: new HttpClient(id),
    callKind: undefined,
    callNumber: 0,
    callPlace: 0,
  }
}

function peerOf(config: Config, req: IncomingMessage): Peer {
  const known = peers.get(req.socket)
  if (known) return known
  const { address, problem } = findClient(req, config.trustedProxies)
  const { adminNetworks, platformNetworks } = config
  const isAllowed = isAllowedAddress(address, config.allowedNetworks)
  const peer: Peer = {
    address: address?.toString(),
    problem,
    isAllowed,
    isLoopback: address?.range() === 'loopback',
    isAdmin: adminNetworks
      ? address !== undefined && isInNetworks(address, adminNetworks)
      : isAllowed,
    mayName: platformNetworks && ((platform) => mayName(platform, address, platformNetworks)),
  }
  if (config.trustedProxies.length === 0) peers.set(req.socket, peer)
  return peer
}

const REQUEST_ID = /^[\w.:-]{1,128}$/

/** Returns the client's X-Request-Id if it is valid, else a new id. */
function requestId(req: IncomingMessage): string {
  const own = req.headers['x-request-id']
  return typeof own === 'string' && REQUEST_ID.test(own) ? own : newRequestId()
}

/** Returns the client's identity for the records of deploys. */
export function originOf({ id, address, trace }: RequestContext): DeployOrigin {
  const origin = { requestId: id, address: address ?? '' }
  if (trace?.scope) setScope(origin, trace.scope)
  return origin
}

/** Sets the timings of a failed call as far as it came; none if it never asked for a session. */
export function noteFailedTiming(request: RequestContext): void {
  const { askedAt, leasedAt } = request.client
  if (askedAt === undefined) return
  const now = performance.now()
  request.waitMs ??= (leasedAt ?? now) - askedAt
  if (leasedAt !== undefined) request.queryMs ??= now - leasedAt
}

/** Returns Node's request and response of an event. */
export function nodeOf(event: H3Event): { req: IncomingMessage; res: ServerResponse } {
  const node = event.runtime?.node
  if (!node?.res) throw new Error('The event has no request of Node.js')
  return node as { req: IncomingMessage; res: ServerResponse }
}
