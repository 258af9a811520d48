import { hash } from 'node:crypto'

/** An entity-tag (RFC 9110, 8.8.3), with its opaque part as the one group. */
const ENTITY_TAG = /(?:W\/)?("[\x21\x23-\x7e\x80-\xff]*")/g

/** A weak entity-tag of what has these bytes: it may be answered with another time, say. */
export function weakEtag(bytes: Uint8Array): string {
  return `W/"${hash('sha1', bytes, 'base64url')}"`
}

/**
 * Whether an If-None-Match names the tag, by the weak comparison (RFC 9110, 8.8.3.2 and 13.1.2):
 * the client has what it would be answered.
 */
export function isNoneMatch(header: string | undefined, etag: string): boolean {
  if (header === undefined) return true
  if (header.trim() === '*') return false
  const opaque = etag.replace(/^W\//, '')
  return ![...header.matchAll(ENTITY_TAG)].some(([, tag]) => tag === opaque)
}
