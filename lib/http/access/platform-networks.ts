import type ipaddr from 'ipaddr.js'
import { databasePrefix, isId } from '../../tenancy/names.ts'
import { isInNetworks, type Network, parseNetworks } from './networks.ts'

/**
 * Networks that may name a platform, by the prefix of its database names. `my-app`, `My_App` and
 * `_my_app` share a prefix, so that a restriction of one of them covers the others.
 */
export type PlatformNetworks = Map<string, Network[]>

/**
 * Parses `platform=network,network;platform=network`; undefined if it has no entries.
 * @throws {Error} naming the wrong entry
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
    if (bound.has(prefix)) throw new Error(`"${platform}" is listed twice`)
    bound.set(prefix, networks)
  }
  return bound.size > 0 ? bound : undefined
}

/** Whether the address may name the platform. A loopback address must be listed like any other. */
export function mayName(
  platform: string,
  address: ipaddr.IPv4 | ipaddr.IPv6 | undefined,
  bound: PlatformNetworks,
): boolean {
  const networks = bound.get(databasePrefix(platform))
  return !networks || (address !== undefined && isInNetworks(address, networks))
}
