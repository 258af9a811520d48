import type { H3Event } from 'h3'
import { type IdempotencyKey, parseKey } from '../call/idempotency/key.ts'
import type { Kept } from '../call/run/attempt.ts'
import { nodeOf } from './request.ts'

/**
 * Returns the Idempotency-Key of a request with this body; undefined without the header
 * (draft-ietf-httpapi-idempotency-key-header).
 * @throws {GatewayError} invalid_request
 */
export function keyOf(
  event: H3Event,
  path: '/call' | '/batch',
  body: Buffer,
): IdempotencyKey | undefined {
  const header = nodeOf(event).req.headers['idempotency-key']
  if (header === undefined) return undefined
  return parseKey(String(header), path, body, event.context.request.startedAt)
}

const REPLAYED = ['idempotent-replayed', 'true']

/** Headers that mark an answer that was kept before its request. */
export function replayHeaders(kept: Kept | undefined): string[] {
  return kept?.isReplay ? REPLAYED : []
}
