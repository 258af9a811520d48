import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type ipaddr from 'ipaddr.js'
import type { Config } from '../../config.ts'
import { GatewayError } from '../../errors.ts'
import { forwardedForAddress, nodeAddress, parseForwarded, parseForwardedFor } from './forwarded.ts'
import { isInNetworks, type Network, parseAddress } from './networks.ts'

type Address = ipaddr.IPv4 | ipaddr.IPv6

/** Who may call an endpoint. Everything below `admin/` is `admin`, whatever it says. */
export type Access = 'network' | 'admin' | 'public'

/**
 * Which token an endpoint of the access `admin` takes: the admin token; or that of the platform which it
 * is about, too, for which its handler asks `authorizePlatformToken`.
 */
export type TokenKind = 'admin' | 'platform'

/** Who asks, as far as that can be told. */
export interface Client {
  /** Undefined where the proxies do not name one. */
  address: Address | undefined
  /** Why there is no address. */
  problem: string | undefined
}

/**
 * The client's address: the socket's, or where that is a trusted proxy's, what the proxies say in
 * X-Forwarded-For or Forwarded, read from the right up to the first that is not a trusted proxy.
 * A proxy writes one of the two headers and hands on the other as the client sent it, so where both
 * are there they must name the same client.
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

/** Goes back over the hops; where all of them are trusted proxies, the first one is the client. */
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

/** Whether the address may use the gateway: it is in the allowlist, or of this machine. */
export function isAllowedAddress(address: Address | undefined, allowed: Network[]): boolean {
  return address !== undefined && (address.range() === 'loopback' || isInNetworks(address, allowed))
}

/** Who asks, as far as access goes. */
interface AskedBy {
  address: string | undefined
  /** Why the proxies do not tell the address. */
  problem: string | undefined
  isAllowed: boolean
  isAdmin: boolean
}

/**
 * Lets a request through to an endpoint, or not. With the token `platform` the handler asks for it.
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
  if (access !== 'admin' || token === 'platform' || adminToken === undefined) return
  if (!isSameToken(bearerOf(authorization) ?? '', adminToken)) {
    throw new GatewayError(
      'unauthorized',
      'This endpoint needs "Authorization: Bearer" with the admin token',
      {},
      401,
    )
  }
}

/** The token that a request bears; undefined where it bears none. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return /^bearer +(\S+) *$/i.exec(authorization ?? '')?.[1]
}

/** Compares in a time that does not depend on how much of the token is right. */
export function isSameToken(given: string, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(token))
}
