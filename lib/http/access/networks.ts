import ipaddr from 'ipaddr.js'

/** A CIDR block: address and prefix length. */
export type Network = [ipaddr.IPv4 | ipaddr.IPv6, number]

/**
 * Parses a comma-separated list of IPv4 and IPv6 CIDR blocks; a plain address is a block of one.
 * @throws {Error} naming the entry that is not a network
 */
export function parseNetworks(list: string): Network[] {
  return list
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
    .map(parseNetwork)
}

function parseNetwork(entry: string): Network {
  const [address = '', length] = entry.split('/')
  if (!isAddress(address)) throw notANetwork(entry)
  try {
    const [network, bits] = ipaddr.parseCIDR(
      `${address}/${length ?? (address.includes(':') ? 128 : 32)}`,
    )
    // ::ffff:10.0.0.0/104 becomes 10.0.0.0/8, because addresses are compared in their IPv4 form.
    return network instanceof ipaddr.IPv6 && network.isIPv4MappedAddress() && bits >= 96
      ? [network.toIPv4Address(), bits - 96]
      : [network, bits]
  } catch {
    throw notANetwork(entry)
  }
}

function notANetwork(entry: string): Error {
  return new Error(`"${entry}" is not a CIDR block such as 10.0.1.0/24 or fd00::/8`)
}

/** Excludes forms such as "10", "0x7f.1" and octal parts, which ipaddr.js reads as IPv4. */
function isAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text)
}

/**
 * Returns the address in canonical form, an IPv4-mapped IPv6 address as IPv4; undefined if the text
 * is not an address. A zone (`fe80::1%eth0`) is dropped.
 */
export function parseAddress(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  const bare = text.split('%', 1)[0] ?? ''
  return isAddress(bare) ? ipaddr.process(bare) : undefined
}

/** Whether the address is in one of the networks. */
export function isInNetworks(address: ipaddr.IPv4 | ipaddr.IPv6, networks: Network[]): boolean {
  return networks.some(
    ([network, bits]) => network.kind() === address.kind() && address.match(network, bits),
  )
}

/** Returns the list in the form that `parseNetworks` reads. */
export function describeNetworks(networks: Network[]): string {
  return networks.map(([address, bits]) => `${address}/${bits}`).join(',')
}
