import type { H3Event } from 'h3'
import { type IdempotencyKey, parseKey } from '../call/idempotency/key.ts'
import type { Kept } from '../call/run/attempt.ts'
import type { Json } from '../json/json.ts'
import { OWNER_MEMBERS } from '../tenancy/owners.ts'
import { nodeOf } from './request.ts'

/** Members of a JSON body that are given, all of them ranges of one buffer. */
export type GivenMembers = { readonly [name: string]: Json | undefined }

/**
 * Returns the Idempotency-Key of a request with this body; undefined without the header
 * (draft-ietf-httpapi-idempotency-key-header).
 * @throws {GatewayError} invalid_request
 */
export function keyOf(
  event: H3Event,
  path: '/call' | '/batch',
  body: GivenMembers,
): IdempotencyKey | undefined {
  const header = nodeOf(event).req.headers['idempotency-key']
  if (header === undefined) return undefined
  return parseKey(String(header), path, withoutOwner(body), event.context.request.startedAt)
}

/**
 * Returns the body in pieces, without the values that name the tenant: the key is of its database,
 * and a tenant that was renamed in between keeps its answers.
 */
function withoutOwner(body: GivenMembers): Buffer[] {
  const names = OWNER_MEMBERS.flatMap((name) => body[name] ?? [])
  const pieces: Buffer[] = []
  let from = 0
  for (const { bytes, start, end } of names.toSorted((a, b) => a.start - b.start)) {
    pieces.push(bytes.subarray(from, start))
    from = end
  }
  // A call names its platform, so there is one.
  pieces.push(names[0]!.bytes.subarray(from))
  return pieces
}

const REPLAYED = ['idempotent-replayed', 'true']

/** Headers that mark an answer that was kept before its request. */
export function replayHeaders(kept: Kept | undefined): string[] {
  return kept?.isReplay ? REPLAYED : []
}
