import { hash } from 'node:crypto'

/** An entity tag (RFC 9110, 8.8.3); the group is its opaque part. */
const ENTITY_TAG = /(?:W\/)?("[\x21\x23-\x7e\x80-\xff]*")/g

/** Returns a weak entity tag for these bytes: the rest of the answer, such as times, may differ. */
export function weakEtag(bytes: Uint8Array): string {
  return `W/"${hash('sha1', bytes, 'base64url')}"`
}

/**
 * Whether If-None-Match does not contain the tag by weak comparison (RFC 9110, 8.8.3.2 and 13.1.2);
 * if it does, the client has the current answer.
 */
export function isNoneMatch(header: string | undefined, etag: string): boolean {
  if (header === undefined) return true
  if (header.trim() === '*') return false
  const opaque = etag.replace(/^W\//, '')
  return ![...header.matchAll(ENTITY_TAG)].some(([, tag]) => tag === opaque)
}
