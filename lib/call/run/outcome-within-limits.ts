import { isSkipped } from '../../postgres/session/query.ts'
import type { BoundCall } from '../bind/parameters.ts'
import type { Outcome } from './attempt.ts'
import { withCommitted } from './committed.ts'
import type { ExclusiveSession } from './exclusive-session.ts'
import { outcomeOfError } from './outcome-of-error.ts'
import type { SentCall } from './send-call.ts'

/**
 * What a call came to that failed with this error in an exclusive session, in no transaction but its
 * own: the error may be of the making of the call's limits.
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
