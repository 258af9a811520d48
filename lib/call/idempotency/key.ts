import { createHash } from 'node:crypto'
import { GatewayError } from '../../errors.ts'

/** The Idempotency-Key of a request. */
export interface IdempotencyKey {
  text: string
  /** SHA-256 of the request's path and of its body, without the name of the tenant. */
  fingerprint: Buffer
  /** `performance.now()` at the arrival of the request. */
  startedAt: number
}

const MAX_LENGTH = 255

/** Visible ASCII without quotes, commas, semicolons and backslashes, which need the quoted form. */
const BARE = /^[!#-+\--:<-[\]-~]+$/
/** A string of RFC 8941, 3.3.3. */
const QUOTED = /^"((?:[ !#-[\]-~]|\\["\\])+)"$/

/**
 * Parses the Idempotency-Key header: a structured-field string, as in the IETF draft "The
 * Idempotency-Key HTTP Header Field", or the same text without quotes.
 * @param body in pieces, without the name of the tenant
 * @throws {GatewayError} invalid_request
 */
export function parseKey(
  header: string,
  path: '/call' | '/batch',
  body: Buffer[],
  startedAt: number,
): IdempotencyKey {
  const value = header.trim()
  const text = BARE.test(value) ? value : QUOTED.exec(value)?.[1]?.replace(/\\(.)/g, '$1')
  if (text === undefined || text.length > MAX_LENGTH) {
    throw new GatewayError(
      'invalid_request',
      `Idempotency-Key must be one text of 1 to ${MAX_LENGTH} visible ASCII characters, such as "8e03978e-40d5"`,
    )
  }
  const hash = createHash('sha256').update(`${path}\0`)
  for (const piece of body) hash.update(piece).update('\0')
  return { text, fingerprint: hash.digest(), startedAt }
}

/** Returns the error of a request whose key a different request has used. */
export function keyReused(database: string): GatewayError {
  return new GatewayError(
    'idempotency_key_reused',
    'Another request has used this Idempotency-Key: send the same body again, or another key',
    { database },
  )
}

/**
 * Returns the error of a request that waited too long for another one with its key. The other one
 * may still write.
 */
export function keyInUse(database: string): GatewayError {
  return new GatewayError(
    'query_timeout',
    'Another request with this Idempotency-Key has not ended within the time limit; it may have run. ' +
      'Send the request again with the same key',
    { database, may_have_run: true },
  )
}

/** Returns the error of a request whose key as many others wait for as may. */
export function tooManyWait(database: string, waiting: number): GatewayError {
  return new GatewayError(
    'pool_exhausted',
    `${waiting} requests with this Idempotency-Key already wait for the one that runs`,
    { database, may_have_run: true },
  )
}
