import { GatewayError } from '../../errors.ts'
import { endsConnection } from '../../postgres/errors.ts'
import { isWorthAnotherConnection, untilAnother } from '../../postgres/hosts/again.ts'
import type { BoundCall } from '../bind/parameters.ts'
import type { CallResult, Outcome, Place } from './attempt.ts'
import type { CallParts, CallToRun } from './call-to-run.ts'
import { bindCurrent, isStale, MAX_RENEWALS } from './current.ts'
import { lostCall } from './failures.ts'
import { placeCall } from './placed-call.ts'
import { mayRepeatRetired, mayShare, mayUseReplica, NEXT, type Next, onlyReads } from './places.ts'
import { runExclusive } from './run-exclusive.ts'
import { runOnReplica } from './run-on-replica.ts'
import { runShared } from './run-shared.ts'

/**
 * Maximum number of repeats of one call because deploys interrupted it, apart from other repeats.
 */
const MAX_CUTS = 10

/**
 * Runs a call with the current signature, in the first place that can run it.
 * @throws {GatewayError} function_not_found, invalid_request for a value that does not convert,
 *   query_failed and query_timeout for errors that the function raised, result_too_large,
 *   pool_exhausted, connection_failed
 */
export async function runCall(parts: CallParts, call: CallToRun): Promise<CallResult> {
  const { database } = call
  const binding = bindCurrent(parts, call)
  let bound = binding instanceof Promise ? await binding : binding
  call.entry = parts.usage.counters.of(database, bound.signature.name)
  let place = firstPlace(parts, call, bound)
  let renewals = 0
  let isSecond = false
  let cuts = 0
  for (;;) {
    const outcome = await attempt(parts, call, bound, place, isSecond || cuts > 0)
    if (outcome.kind === 'rows') return outcome.result
    call.budget?.restart()
    switch (nextOf(outcome, call, bound, place, isSecond)) {
      case 'read anew':
        renewals++
        if (renewals > MAX_RENEWALS || !(await isStale(parts, call, bound))) throw outcome.error
        bound = await bindCurrent(parts, call)
        place = firstPlace(parts, call, bound)
        break
      case 'next place':
        place = place === 'replica' ? onPrimary(parts, call, bound) : 'exclusive'
        break
      case 'once more':
        // Another deploy may interrupt the repeated call again.
        if (mayRepeatRetired(outcome, bound) && cuts < MAX_CUTS) cuts++
        else isSecond = true
        if (endsConnection(outcome.error)) await untilAnother(outcome.error)
        break
      default:
        throw toldOf(outcome, database)
    }
  }
}

function firstPlace(parts: CallParts, call: CallToRun, bound: BoundCall): Place {
  if (parts.replicas && mayUseReplica(call, bound)) return 'replica'
  return onPrimary(parts, call, bound)
}

function onPrimary({ durations }: CallParts, call: CallToRun, bound: BoundCall): Place {
  const isQuick = durations.expectedMs(call.database, bound.signature) !== undefined
  return isQuick && mayShare(call, bound) ? 'shared' : 'exclusive'
}

function attempt(
  parts: CallParts,
  call: CallToRun,
  bound: BoundCall,
  place: Place,
  fresh: boolean,
): Promise<Outcome> {
  if (place === 'replica') return runOnReplica(parts, call, bound)
  const placed = placeCall(parts, call, bound, parts.pools)
  return place === 'shared' ? runShared(placed) : runExclusive(placed, fresh)
}

function nextOf(
  outcome: Exclude<Outcome, { kind: 'rows' }>,
  call: CallToRun,
  bound: BoundCall,
  place: Place,
  isSecond: boolean,
): Next {
  const { kind, error } = outcome
  const next = NEXT[place][kind]
  // A GatewayError here, such as that a deploy blocks new sessions, would occur again.
  if (kind === 'not begun' && error instanceof GatewayError) return 'answer'
  if (next === 'answer' || next === 'read anew' || next === 'next place') return next
  const isSafe = next === 'once more' || onlyReads(call, bound) || mayRepeatRetired(outcome, bound)
  const mayRepeat = isSafe && !isSecond && !call.client.isGone
  // A missing prepared statement has not ended the connection.
  const isWorthIt = !endsConnection(error) || isWorthAnotherConnection(error)
  return mayRepeat && isWorthIt ? 'once more' : 'answer'
}

/** Returns the error for the caller when there is no further attempt. */
function toldOf({ kind, error }: Exclude<Outcome, { kind: 'rows' }>, database: string): unknown {
  if (error instanceof GatewayError && kind !== 'not begun' && !gotNoConnection(error)) return error
  return lostCall(error, database, kind === 'lost', kind === 'rolled back')
}

/** Whether the gateway has not even tried to open a connection for the call. */
function gotNoConnection({ code, details }: GatewayError): boolean {
  return code === 'connection_failed' && details.may_have_run === undefined
}
