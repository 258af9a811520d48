import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { H3Event } from 'h3'
import type { Config } from '../config.ts'
import type { DeployOrigin } from '../deploy/result.ts'
import type { RouteCounter } from '../metrics/requests.ts'
import { type Access, findClient, isAllowedAddress, type TokenKind } from './access/access.ts'
import { isInNetworks } from './access/networks.ts'
import { mayName } from './access/platform-networks.ts'
import { HttpClient } from './client.ts'

/** What the gateway knows of a request besides what the handler reads of it. */
export interface RequestContext {
  id: string
  /** Of the client, behind the trusted proxies; undefined where a proxy named none that is one. */
  address: string | undefined
  /** Why the proxies do not tell the address. */
  problem: string | undefined
  /** Whether the address is in the allowlist, and no other site's page sends the request. */
  isAllowed: boolean
  /** Whether the address is of this machine. */
  isLoopback: boolean
  /** Whether the address may use what has the access `admin`. */
  isAdmin: boolean
  /** Whether it may name a platform; undefined where all may name all. */
  mayName: ((platform: string) => boolean) | undefined
  /** `performance.now()` when its head had come. */
  startedAt: number
  /** For the log, as soon as they are known. */
  platform: string | undefined
  database: string | undefined
  function: string | undefined
  /** The code of the error that it was answered with, and PostgreSQL's. */
  error: string | undefined
  sqlstate: string | undefined
  /** Milliseconds for a connection, and for PostgreSQL's answer. */
  waitMs: number | undefined
  queryMs: number | undefined
  /** Of its route, once that is known; so is `counter`. */
  access: Access | undefined
  /** It has an entry of its own in the audit trail. */
  isAudited: boolean
  counter: RouteCounter | undefined
  client: HttpClient
}

/** What a handler says of itself in `defineHandler({ meta })`. */
export interface HandlerMeta {
  access?: Access
  token?: TokenKind
  description?: string
}

declare module 'h3' {
  interface H3RouteMeta extends HandlerMeta {}
}

/** Who is at the other end of a socket. */
type Peer = Pick<
  RequestContext,
  'address' | 'problem' | 'isAllowed' | 'isLoopback' | 'isAdmin' | 'mayName'
>

/** Without proxies, all requests of a socket come from one address: it is read once. */
const peers = new WeakMap<Socket, Peer>()

/** What is known of a request when its head has come. */
export function newContext(config: Config, req: IncomingMessage): RequestContext {
  const { address, problem, isAllowed, isLoopback, isAdmin, mayName } = peerOf(config, req)
  return {
    id: requestId(req),
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
    client: new HttpClient(),
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

/** The client's own request id, if it is a valid one, or else a new one. */
function requestId(req: IncomingMessage): string {
  const own = req.headers['x-request-id']
  return typeof own === 'string' && REQUEST_ID.test(own) ? own : randomUUID()
}

/** Who asks, for the ledgers. */
export function originOf({ id, address }: RequestContext): DeployOrigin {
  return { requestId: id, address: address ?? '' }
}

/** How long a call took that failed, as far as it has come; nothing of one that asked for no session. */
export function noteFailedTiming(request: RequestContext): void {
  const { askedAt, leasedAt } = request.client
  if (askedAt === undefined) return
  const now = performance.now()
  request.waitMs ??= (leasedAt ?? now) - askedAt
  if (leasedAt !== undefined) request.queryMs ??= now - leasedAt
}

/** Node's own request and response below an event. */
export function nodeOf(event: H3Event): { req: IncomingMessage; res: ServerResponse } {
  const node = event.runtime?.node
  if (!node?.res) throw new Error('The gateway runs on Node alone')
  return node as { req: IncomingMessage; res: ServerResponse }
}
