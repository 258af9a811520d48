import type ipaddr from 'ipaddr.js'
import { parseAddress } from './networks.ts'

/**
 * Splits X-Forwarded-For into its entries; the last one is from the nearest proxy. An empty header
 * has none.
 */
export function parseForwardedFor(header: string): string[] {
  return header.trim() === '' ? [] : header.split(',').map((entry) => entry.trim())
}

/**
 * Returns the address of an entry of X-Forwarded-For, which no standard defines: `192.0.2.1`,
 * `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`; undefined for anything else.
 */
export function forwardedForAddress(entry: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  return parseAddress(entry) ?? nodeAddress(entry)
}

/**
 * Returns the `for` of each element of a Forwarded header (RFC 7239), the nearest proxy's last; ''
 * for an element without `for`. Spaces around `;` are accepted.
 * @returns undefined if the header is malformed: the client's part and the proxy's cannot be told
 *   apart then
 */
export function parseForwarded(header: string): string[] | undefined {
  const text = header.trim()
  if (text === '') return []
  const elements: string[] = []
  let names = new Set<string>()
  let node = ''
  let at = 0
  for (;;) {
    PAIR.lastIndex = at
    const pair = PAIR.exec(text)
    if (pair) {
      const name = pair[1]!.toLowerCase()
      if (names.has(name)) return undefined
      names.add(name)
      if (name === 'for') node = pair[2] ?? pair[3]!.replaceAll(/\\(.)/gs, '$1')
      at = PAIR.lastIndex
    }
    SEPARATOR.lastIndex = at
    const separator = SEPARATOR.exec(text)
    if (!separator) return undefined
    at = SEPARATOR.lastIndex
    if (separator[1] === ';') continue
    elements.push(node)
    if (separator[1] === '') return elements
    names = new Set()
    node = ''
  }
}

/** Characters of a token (RFC 9110, 5.6.2). */
const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"

/** `name=token` or `name="quoted string"`; the third group is the quoted text with its escapes. */
const PAIR = new RegExp(`(${TOKEN})=(?:(${TOKEN})|"((?:[^"\\\\]|\\\\.)*)")`, 'sy')

/** What follows a pair: another pair of the element, the next element or the end. */
const SEPARATOR = /[ \t]*(;|,|$)[ \t]*/y

/**
 * Returns the address of a node (RFC 7239, section 6): `192.0.2.1` or `[2001:db8::1]`, each with an
 * optional `:port`, which may be obfuscated. Undefined for `unknown`, an obfuscated identifier
 * (`_hidden`) and anything else.
 */
export function nodeAddress(node: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  const parts = NODE.exec(node)
  if (!parts) return undefined
  const [, ipv4, ipv6, port] = parts
  if (port !== undefined && Number(port) > LARGEST_PORT) return undefined
  const address = parseAddress(ipv4 ?? ipv6!)
  // Brackets are for IPv6 only: [192.0.2.1] is not an address.
  return ipv4 === undefined && !ipv6!.includes(':') ? undefined : address
}

const NODE = /^(?:(\d+\.\d+\.\d+\.\d+)|\[([\da-fA-F:.]+)\])(?::(?:(\d{1,5})|_[\w.-]+))?$/

const LARGEST_PORT = 65_535
