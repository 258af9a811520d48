import { GatewayError } from '../../errors.ts'
import { endsConnection, fromPostgres } from '../../postgres/errors.ts'
import { ServerError } from '../../postgres/session/server-error.ts'
import type { Session } from '../../postgres/session/session.ts'
import type { Outcome } from './attempt.ts'
import type { PlacedCall } from './placed-call.ts'
import { failedRecord, readRefusal } from './refusal.ts'
import type { Progress } from './send-call.ts'

/** What a call came to that failed with this error, wherever it ran. */
export async function outcomeOfError(
  { bound, database }: Pick<PlacedCall, 'bound' | 'database'>,
  session: Session,
  query: Progress,
  error: unknown,
): Promise<Outcome> {
  if (error instanceof GatewayError) return { kind: 'refused', error }
  if (endsConnection(error)) {
    return { kind: query.state === 'queued' ? 'not begun' : 'lost', error }
  }
  if (!(error instanceof ServerError)) return { kind: 'refused', error }
  const refusal = readRefusal(bound, query, error)
  switch (refusal.kind) {
    case 'gone':
      return { kind: 'not begun', error }
    case 'stale':
    case 'unconvertible':
      // Another function may take the value by now.
      return { kind: 'stale', error: refusal.error }
    case 'raised': {
      const conversion = await failedRecord(session, bound, error).catch(() => undefined)
      if (conversion) return { kind: 'stale', error: conversion }
      return { kind: 'refused', error: fromPostgres(error, database) }
    }
  }
}
