import { GatewayError } from '../../errors.ts'
import type { BoundCall } from '../bind/parameters.ts'
import type { Signature } from '../signatures/signature.ts'
import type { Outcome } from './attempt.ts'
import type { CallParts, CallToRun } from './call-to-run.ts'
import { placeCall } from './placed-call.ts'
import { mayShare } from './places.ts'
import { runExclusive } from './run-exclusive.ts'
import { runShared } from './run-shared.ts'

/**
 * Classes of SQLSTATEs of what another server may do: an unlogged table (0A), a function that writes
 * (25), a conflict with what is being replayed (40), resources (53), recovery itself (55), a
 * shutdown (57P), a disk (58), damage (XX). PostgreSQL manual, "Hot Standby".
 */
const NOT_ON_REPLICA = /^(?:0A|25|40|53|55|57P|58|XX)/

/** Those of what no replica can do at any time. */
const NEVER_ON_REPLICA = /^(?:0A|25)/

/** Of the gateway itself: the primary may have what the replica has not. */
const NOT_REACHED: unknown[] = ['connection_failed', 'pool_exhausted']

const NOT_HERE: Outcome = { kind: 'not begun', error: undefined }

/** Functions that did what no replica can do. */
const refused = new WeakSet<Signature>()

/**
 * Runs a call on a replica that is current. It is not begun where there is none, or where the
 * replica could not do it: nothing is left of a call there.
 */
export async function runOnReplica(
  parts: CallParts,
  call: CallToRun,
  bound: BoundCall,
): Promise<Outcome> {
  const { replicas } = parts
  const pools = refused.has(bound.signature) ? undefined : replicas?.pick(call.database)
  if (!pools) return NOT_HERE
  const placed = placeCall(parts, call, bound, pools)
  const isShared = placed.expectedMs !== undefined && mayShare(call, bound)
  const outcome = await (isShared ? runShared(placed) : runExclusive(placed, false))
  if (outcome.kind === 'rows' || call.client.isGone) return outcome
  const { kind, error } = outcome
  if (kind === 'lost' || kind === 'not begun') replicas!.fail(pools, error)
  if (kind !== 'refused' || !(error instanceof GatewayError)) return outcome
  const { sqlstate = '' } = error.details
  if (NEVER_ON_REPLICA.test(sqlstate)) refused.add(bound.signature)
  const isOfReplica = NOT_REACHED.includes(error.code) || NOT_ON_REPLICA.test(sqlstate)
  return isOfReplica ? NOT_HERE : outcome
}
