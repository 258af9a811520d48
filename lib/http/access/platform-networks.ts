import type ipaddr from 'ipaddr.js'
import { databasePrefix, isId } from '../../tenancy/names.ts'
import { isInNetworks, type Network, parseNetworks } from './networks.ts'

/**
 * The networks whose addresses alone may name a platform, by what the names of its databases begin
 * with: `my-app`, `My_App` and `_my_app` write the same names, so that what binds one binds the others.
 */
export type PlatformNetworks = Map<string, Network[]>

/**
 * Reads `platform=network,network;platform=network`; undefined where it binds nobody.
 * @throws {Error} naming the entry that is wrong
 */
export function parsePlatformNetworks(text: string): PlatformNetworks | undefined {
  const bound: PlatformNetworks = new Map()
  for (const entry of text.split(';').map((part) => part.trim())) {
    if (entry === '') continue
    const [name = '', list, more] = entry.split('=')
    if (list === undefined || more !== undefined) {
      throw new Error(`"${entry}" is not like myapp=10.0.1.0/28,10.0.3.0/28`)
    }
    const platform = name.trim()
    if (!isId(platform)) {
      throw new Error(`"${platform}" is not a platform: 1 to 63 letters, digits, "_" or "-"`)
    }
    const networks = parseNetworks(list)
    if (networks.length === 0) throw new Error(`"${platform}" has no networks`)
    const prefix = databasePrefix(platform)
    if (bound.has(prefix)) throw new Error(`"${platform}" is there twice`)
    bound.set(prefix, networks)
  }
  return bound.size > 0 ? bound : undefined
}

/** Whether a request from the address may name the platform. Loopback may where it is listed. */
export function mayName(
  platform: string,
  address: ipaddr.IPv4 | ipaddr.IPv6 | undefined,
  bound: PlatformNetworks,
): boolean {
  const networks = bound.get(databasePrefix(platform))
  return !networks || (address !== undefined && isInNetworks(address, networks))
}
