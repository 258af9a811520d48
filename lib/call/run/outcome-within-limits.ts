import { isSkipped } from '../../postgres/session/query.ts'
import type { BoundCall } from '../bind/parameters.ts'
import type { Outcome } from './attempt.ts'
import { withCommitted } from './committed.ts'
import type { ExclusiveSession } from './exclusive-session.ts'
import { outcomeOfError } from './outcome-of-error.ts'
import type { SentCall } from './send-call.ts'

/**
 * Determines the outcome of a call that failed with this error in an exclusive session, outside a
 * batch transaction. The call's own limits may have caused the error.
 */
export async function outcomeWithinLimits(
  { limits, session, connection, database }: SessionOfCall,
  bound: BoundCall,
  { query }: SentCall,
  error: unknown,
): Promise<Outcome> {
  const wasSent = query.state !== 'queued' && !isSkipped(query.error)
  const explained = limits.explain(error, wasSent ? 'anything' : 'nothing')
  const outcome: Outcome =
    explained !== error
      ? { kind: 'refused', error: explained }
      : await outcomeOfError({ bound, database }, session, query, error, connection.isRetired)
  return withCommitted(outcome, bound, query)
}

type SessionOfCall = Pick<ExclusiveSession, 'limits' | 'session' | 'connection' | 'database'>
