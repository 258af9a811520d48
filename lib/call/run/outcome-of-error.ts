import { GatewayError } from '../../errors.ts'
import { endsConnection, fromPostgres } from '../../postgres/errors.ts'
import { ServerError } from '../../postgres/session/server-error.ts'
import type { Session } from '../../postgres/session/session.ts'
import type { Outcome } from './attempt.ts'
import type { PlacedCall } from './placed-call.ts'
import { failedRecord, readRefusal } from './refusal.ts'
import type { Progress } from './send-call.ts'

/**
 * Determines the outcome of a call that failed with this error, in any place.
 * @param isRetired true: a deploy asked the session to end
 */
export async function outcomeOfError(
  { bound, database }: Pick<PlacedCall, 'bound' | 'database'>,
  session: Session,
  query: Progress,
  error: unknown,
  isRetired = false,
): Promise<Outcome> {
  if (error instanceof GatewayError) return { kind: 'refused', error: ofNoRoom(error, query) }
  if (endsConnection(error)) {
    if (!query.mayHaveBegun) return { kind: 'not begun', error }
    return query.wasCutOff ? { kind: 'rolled back', error, isRetired } : { kind: 'lost', error }
  }
  if (!(error instanceof ServerError)) return { kind: 'refused', error }
  const refusal = readRefusal(bound, query, error)
  switch (refusal.kind) {
    case 'gone':
      return { kind: 'not begun', error }
    case 'stale':
    case 'unconvertible':
      // Another overload may accept the value by now.
      return { kind: 'stale', error: refusal.error }
    case 'raised': {
      const conversion = await failedRecord(session, bound, error).catch(() => undefined)
      if (conversion) return { kind: 'stale', error: conversion }
      return { kind: 'refused', error: fromPostgres(error, database) }
    }
  }
}

/**
 * Adds `may_have_run` if the answer exceeded its memory budget. That ends the session, and what has
 * run may have been committed.
 */
function ofNoRoom(error: GatewayError, { state }: Progress): GatewayError {
  const { code, message, details, status } = error
  if (code !== 'pool_exhausted') return error
  const mayHaveRun = state !== 'queued'
  const what = mayHaveRun ? 'the function may have run' : 'the function has not run'
  return new GatewayError(
    code,
    `${message}; ${what}`,
    { ...details, may_have_run: mayHaveRun },
    status,
  )
}
