import type { IncomingHttpHeaders } from 'node:http'

/** Allowed origins and host names, in lower case. */
export interface SiteRules {
  /** Allowed origins of other sites, as a browser sends them: `https://console.example`. */
  allowedOrigins: string[]
  /** Host names of the gateway without a port; undefined allows any name, except on loopback. */
  allowedHosts: string[] | undefined
}

/** A Host that DNS cannot redirect: an address, or localhost. */
const FIXED_HOST = /^(?:localhost|\d{1,3}(?:\.\d{1,3}){3}|\[[\da-f:.]+\])(?::\d*)?$/i

/**
 * Returns why a request is from another site's page; undefined if it is from a program or one of
 * the gateway's own pages. A page can make a browser send requests to addresses that only the
 * browser can reach; the browser reports that in Sec-Fetch-Site (Fetch Metadata) and Origin (RFC
 * 6454). After DNS rebinding, a page counts as the same site, but Host has the page's own name.
 * @param isPage the answer is a page without data, which a link of another site may open
 */
export function crossSiteProblem(
  headers: IncomingHttpHeaders,
  isLoopback: boolean,
  rules: SiteRules,
  isPage = false,
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
  if (isPage && headers['sec-fetch-dest'] === 'document') return undefined
  return `A browser sends this from another site (Sec-Fetch-Site: ${site})`
}

function isOwnHost(host: string, isLoopback: boolean, { allowedHosts }: SiteRules): boolean {
  // Only HTTP/1.0 allows a request without Host, and browsers do not use it.
  if (host === '' || (!allowedHosts && !isLoopback) || FIXED_HOST.test(host)) return true
  return allowedHosts?.includes(host.replace(/:\d*$/, '').toLowerCase()) ?? false
}

/** Compares host and port only: behind a proxy that ends TLS, the scheme is unknown. */
function isOwnOrigin(origin: string, host: string): boolean {
  const [, scheme, authority = ''] = /^(https?):\/\/([^/]+)$/i.exec(origin) ?? []
  if (!scheme) return false
  const defaultPort = scheme.toLowerCase() === 'https' ? /:443$/ : /:80$/
  const plain = (text: string) => text.toLowerCase().replace(defaultPort, '')
  return plain(authority) === plain(host)
}

/**
 * Parses a comma-separated list of origins.
 * @throws {Error} naming the entry that is not an origin
 */
export function parseOrigins(list: string): string[] {
  return entriesOf(list).map((entry) => {
    if (/^https?:\/\/[^/\s?#]+$/.test(entry)) return entry
    throw new Error(`"${entry}" is not an origin such as https://console.example`)
  })
}

/**
 * Parses a comma-separated list of host names.
 * @throws {Error} naming the entry that is not a host name
 */
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
