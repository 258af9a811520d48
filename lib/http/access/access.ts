import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type ipaddr from 'ipaddr.js'
import type { Config } from '../../config.ts'
import { GatewayError } from '../../errors.ts'
import { forwardedForAddress, nodeAddress, parseForwarded, parseForwardedFor } from './forwarded.ts'
import { isInNetworks, type Network, parseAddress } from './networks.ts'

type Address = ipaddr.IPv4 | ipaddr.IPv6

/** Clients that may call an endpoint. Endpoints below `admin/` have `admin` in any case. */
export type Access = 'network' | 'admin' | 'public'

/**
 * Token of an endpoint with access `admin`. `admin`: the admin token. `platform`: also the token of
 * the platform in the request; the handler checks it with `authorizePlatformToken`. `none`: a page
 * or a file of it, which hold no data, and with which a browser sends no token.
 */
export type TokenKind = 'admin' | 'platform' | 'none'

/** Address of the client, as far as it is known. */
export interface Client {
  /** Undefined if the proxies do not name a valid address. */
  address: Address | undefined
  /** Why the address is unknown. */
  problem: string | undefined
}

/**
 * Returns the client's address: that of the socket, or if that is a trusted proxy, the last address
 * in X-Forwarded-For or Forwarded that is not a trusted proxy. A proxy writes one of the headers
 * and passes the other on as the client sent it. If both are there, they must name the same client.
 */
export function findClient(req: IncomingMessage, trustedProxies: Network[]): Client {
  const peer = parseAddress(req.socket.remoteAddress ?? '')
  if (!peer || !isInNetworks(peer, trustedProxies)) {
    return { address: peer, problem: undefined }
  }
  const entries = parseForwardedFor(headerText(req.headers['x-forwarded-for']))
  const elements = parseForwarded(headerText(req.headers.forwarded))
  if (!elements) return nobody('Forwarded does not follow RFC 7239')
  const client =
    elements.length > 0 && entries.length === 0
      ? follow(peer, elements, nodeAddress, trustedProxies, 'Forwarded')
      : follow(peer, entries, forwardedForAddress, trustedProxies, 'X-Forwarded-For')
  if (elements.length === 0 || entries.length === 0 || !client.address) return client
  const other = follow(peer, elements, nodeAddress, trustedProxies, 'Forwarded')
  return other.address?.toString() === client.address.toString()
    ? client
    : nobody('X-Forwarded-For and Forwarded do not name the same client')
}

function headerText(value: string | string[] | undefined): string {
  return Array.isArray(value) ? value.join(',') : (value ?? '')
}

/** Follows the hops backwards; if all are trusted proxies, the first one is the client. */
function follow(
  peer: Address,
  hops: string[],
  read: (hop: string) => Address | undefined,
  trustedProxies: Network[],
  header: string,
): Client {
  let address = peer
  for (let i = hops.length - 1; i >= 0 && isInNetworks(address, trustedProxies); i--) {
    const next = read(hops[i]!)
    if (!next) return nobody(`${header} does not name the address of the client`)
    address = next
  }
  return { address, problem: undefined }
}

function nobody(problem: string): Client {
  return { address: undefined, problem }
}

/** Whether the address may use the gateway: it is in the allowlist or a loopback address. */
export function isAllowedAddress(address: Address | undefined, allowed: Network[]): boolean {
  return address !== undefined && (address.range() === 'loopback' || isInNetworks(address, allowed))
}

/** The data of a request that access depends on. */
interface AskedBy {
  address: string | undefined
  /** Why the address is unknown. */
  problem: string | undefined
  isAllowed: boolean
  isAdmin: boolean
}

/**
 * Checks that a request may use an endpoint. With token `platform`, the handler checks the token; with `none`, nobody does.
 * @throws {GatewayError} unauthorized: 403 for the address, 401 for the admin token
 */
export function checkAccess(
  access: Access,
  request: AskedBy,
  authorization: string | undefined,
  { adminNetworks, adminToken }: Pick<Config, 'adminNetworks' | 'adminToken'>,
  token: TokenKind = 'admin',
): void {
  if (access === 'public') return
  if (!(access === 'admin' ? request.isAdmin : request.isAllowed)) {
    const networks = access === 'admin' && adminNetworks ? 'ADMIN_NETWORKS' : 'ALLOWED_NETWORKS'
    throw new GatewayError(
      'unauthorized',
      request.problem ?? `The address ${request.address ?? '(unknown)'} is not in ${networks}`,
    )
  }
  if (access !== 'admin' || token !== 'admin' || adminToken === undefined) return
  if (!isSameToken(bearerOf(authorization) ?? '', adminToken)) {
    throw new GatewayError(
      'unauthorized',
      'This endpoint needs "Authorization: Bearer" with the admin token',
      {},
      401,
    )
  }
}

/** Returns the bearer token of an Authorization header; undefined if it has none. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return /^bearer +(\S+) *$/i.exec(authorization ?? '')?.[1]
}

/** Compares tokens in a time that does not depend on how many characters match. */
export function isSameToken(given: string, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(token))
}
