import type ipaddr from 'ipaddr.js'
import { parseAddress } from './networks.ts'

/**
 * What proxies write down of those who ask them, the nearest proxy's entry last: the texts between
 * the commas of X-Forwarded-For. An empty header has none.
 */
export function parseForwardedFor(header: string): string[] {
  return header.trim() === '' ? [] : header.split(',').map((entry) => entry.trim())
}

/**
 * The address in an entry of X-Forwarded-For, which no standard describes: `192.0.2.1`,
 * `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`; undefined for anything else.
 */
export function forwardedForAddress(entry: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  return parseAddress(entry) ?? nodeAddress(entry)
}

/**
 * The `for` of each element of a Forwarded header (RFC 7239), the nearest proxy's last; '' for an
 * element that has none. Undefined where the header does not follow the standard: what a client
 * sent and what a proxy put behind it cannot be told apart then. Space around `;` is let pass.
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

/** `name=token` or `name="quoted string"`, what is between the quotes as it stands there. */
const PAIR = new RegExp(`(${TOKEN})=(?:(${TOKEN})|"((?:[^"\\\\]|\\\\.)*)")`, 'sy')

/** What comes behind a pair: another of the same element, the next element, the end. */
const SEPARATOR = /[ \t]*(;|,|$)[ \t]*/y

/**
 * The address of a node of RFC 7239, section 6: `192.0.2.1`, `[2001:db8::1]`, either with `:port`,
 * which may be obfuscated. Undefined for `unknown`, an obfuscated identifier (`_hidden`) and
 * anything else.
 */
export function nodeAddress(node: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  const parts = NODE.exec(node)
  if (!parts) return undefined
  const [, ipv4, ipv6, port] = parts
  if (port !== undefined && Number(port) > LARGEST_PORT) return undefined
  const address = parseAddress(ipv4 ?? ipv6!)
  // [192.0.2.1] is none.
  return ipv4 === undefined && !ipv6!.includes(':') ? undefined : address
}

const NODE = /^(?:(\d+\.\d+\.\d+\.\d+)|\[([\da-fA-F:.]+)\])(?::(?:(\d{1,5})|_[\w.-]+))?$/

const LARGEST_PORT = 65_535
