import type { Pools } from '../../postgres/pools/pools.ts'
import type { BoundCall } from '../bind/parameters.ts'
import type { CallDurations } from './call-durations.ts'
import type { CallParts, CallToRun } from './call-to-run.ts'
import type { SendOptions } from './send-call.ts'
import type { SharedCalls } from './shared-calls.ts'

/** A bound call and the server where it runs. */
export interface PlacedCall extends SendOptions {
  /** Pools of the primary or of a replica. */
  pools: Pools
  /** Expected duration in milliseconds; undefined if the call is not known to be quick. */
  expectedMs: number | undefined
  calls: SharedCalls
  durations: CallDurations
}

/** Assembles what an attempt needs. */
export function placeCall(
  { durations, calls, settings: { maxResultBytes } }: CallParts,
  call: CallToRun,
  bound: BoundCall,
  pools: Pools,
): PlacedCall {
  const { client, database, limit, restrictions, settings, budget, held } = call
  const expectedMs = durations.expectedMs(database, bound.signature)
  return {
    client,
    database,
    pools,
    expectedMs,
    limit,
    restrictions,
    calls,
    durations,
    bound,
    settings,
    maxResultBytes,
    mustOnlyRead: call.mustOnlyRead || restrictions?.isReadOnly === true,
    budget,
    held,
  }
}
