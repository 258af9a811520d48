import type { IncomingHttpHeaders } from 'node:http'

/** What a browser may send, and for which names. In lower case. */
export interface SiteRules {
  /** Origins of other sites that may, as a browser writes them: `https://console.example`. */
  allowedOrigins: string[]
  /** The names of the gateway, without a port; undefined: all names, but for loopback. */
  allowedHosts: string[] | undefined
}

/** A Host that no name server can point elsewhere: an address, or localhost. */
const FIXED_HOST = /^(?:localhost|\d{1,3}(?:\.\d{1,3}){3}|\[[\da-f:.]+\])(?::\d*)?$/i

/**
 * Why a request is not one that the gateway's own pages or a program sends; undefined: it is. A page
 * of another site can have a browser send requests, to addresses that the page cannot reach itself;
 * the browser says so in Sec-Fetch-Site (Fetch Metadata) and Origin (RFC 6454). A page whose name
 * is pointed to the gateway's address (DNS rebinding) is of the same site, and has its own name in
 * Host.
 */
export function crossSiteProblem(
  headers: IncomingHttpHeaders,
  isLoopback: boolean,
  rules: SiteRules,
): string | undefined {
  const { origin, host = '' } = headers
  if (!isOwnHost(host, isLoopback, rules)) {
    return `The header Host has "${host.slice(0, 80)}"; add the name to ALLOWED_HOSTS if it is the gateway's`
  }
  if (origin !== undefined) {
    if (rules.allowedOrigins.includes(origin.toLowerCase())) return undefined
    if (!isOwnOrigin(origin, host)) {
      return `The origin ${origin.slice(0, 80)} is not the gateway's own, and not in ALLOWED_ORIGINS`
    }
  }
  const site = headers['sec-fetch-site']
  if (site !== 'cross-site' && site !== 'same-site') return undefined
  return `A browser sends this from another site (Sec-Fetch-Site: ${site})`
}

function isOwnHost(host: string, isLoopback: boolean, { allowedHosts }: SiteRules): boolean {
  // Only HTTP/1.0 may leave it out, which no browser speaks.
  if (host === '' || (!allowedHosts && !isLoopback) || FIXED_HOST.test(host)) return true
  return allowedHosts?.includes(host.replace(/:\d*$/, '').toLowerCase()) ?? false
}

/** By host and port: behind a proxy that ends TLS, the gateway does not know the scheme. */
function isOwnOrigin(origin: string, host: string): boolean {
  const [, scheme, authority = ''] = /^(https?):\/\/([^/]+)$/i.exec(origin) ?? []
  if (!scheme) return false
  const defaultPort = scheme.toLowerCase() === 'https' ? /:443$/ : /:80$/
  const plain = (text: string) => text.toLowerCase().replace(defaultPort, '')
  return plain(authority) === plain(host)
}

/** @throws {Error} naming the entry that is not an origin */
export function parseOrigins(list: string): string[] {
  return entriesOf(list).map((entry) => {
    if (/^https?:\/\/[^/\s?#]+$/.test(entry)) return entry
    throw new Error(`"${entry}" is not an origin such as https://console.example`)
  })
}

/** @throws {Error} naming the entry that is not a host name */
export function parseHosts(list: string): string[] {
  return entriesOf(list).map((entry) => {
    if (/^[\w.-]{1,253}$/.test(entry)) return entry
    throw new Error(`"${entry}" is not a host name such as gateway.internal, without a port`)
  })
}

function entriesOf(list: string): string[] {
  return list
    .toLowerCase()
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
}
