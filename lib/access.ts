import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type ipaddr from 'ipaddr.js'
import { GatewayError } from './errors.ts'
import { isInNetworks, type Network, parseAddress } from './networks.ts'
import type { Access, RequestContext } from './request.ts'

type Address = ipaddr.IPv4 | ipaddr.IPv6

/**
 * The client's address: the socket's, or where that is a trusted proxy's, what the proxies say in
 * X-Forwarded-For, read from the right up to the first that is not a trusted proxy. Undefined
 * where a proxy says something that is no address.
 */
export function clientAddress(
  req: IncomingMessage,
  trustedProxies: Network[],
): Address | undefined {
  let address = parseAddress(req.socket.remoteAddress ?? '')
  if (trustedProxies.length === 0) return address
  const header = req.headers['x-forwarded-for']
  const forwarded = (Array.isArray(header) ? header.join(',') : (header ?? '')).split(',')
  while (address && isInNetworks(address, trustedProxies)) {
    const next = forwarded.pop()?.trim()
    if (next === undefined || (next === '' && forwarded.length === 0)) return address
    address = parseAddress(next)
  }
  return address
}

/** Whether the address may use the gateway: it is in the allowlist, or of this machine. */
export function isAllowedAddress(address: Address | undefined, allowed: Network[]): boolean {
  return address !== undefined && (address.range() === 'loopback' || isInNetworks(address, allowed))
}

/**
 * Lets a request through to an endpoint, or not.
 * @throws {GatewayError} unauthorized: 403 for the address, 401 for the admin token
 */
export function checkAccess(
  access: Access,
  request: RequestContext,
  authorization: string | undefined,
  adminToken: string | undefined,
): void {
  if (access === 'public') return
  if (!request.isAllowed) {
    throw new GatewayError(
      'unauthorized',
      `The address ${request.address ?? '(unknown)'} is not in ALLOWED_NETWORKS`,
    )
  }
  if (access === 'admin' && adminToken !== undefined && !isBearer(authorization, adminToken)) {
    throw new GatewayError(
      'unauthorized',
      'This endpoint needs "Authorization: Bearer" with the admin token',
      {},
      401,
    )
  }
}

/** Compares in a time that does not depend on how much of the token is right. */
function isBearer(authorization: string | undefined, token: string): boolean {
  const given = /^bearer +(\S+) *$/i.exec(authorization ?? '')?.[1] ?? ''
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(token))
}
