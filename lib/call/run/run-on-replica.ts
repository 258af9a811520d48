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
 * SQLSTATE classes of errors that another server may not have: an unlogged table (0A), a function
 * that writes (25), a recovery conflict (40), resources (53), recovery itself (55), a shutdown
 * (57P), a disk (58), damage (XX). PostgreSQL manual, "Hot Standby".
 */
const NOT_ON_REPLICA = /^(?:0A|25|40|53|55|57P|58|XX)/

/** SQLSTATE classes of operations that no replica can ever run. */
const NEVER_ON_REPLICA = /^(?:0A|25)/

/** Errors of the gateway that may not occur on the primary. */
const NOT_REACHED: unknown[] = ['connection_failed', 'pool_exhausted']

const NOT_HERE: Outcome = { kind: 'not begun', error: undefined }

/** Functions that no replica can run. */
const refused = new WeakSet<Signature>()

/**
 * Runs a call on a replica that is up to date. Returns `not begun` if there is none or the replica
 * cannot run the call: a call has no effect on a replica.
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
