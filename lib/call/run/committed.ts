import { GatewayError } from '../../errors.ts'
import type { BoundCall } from '../bind/parameters.ts'
import type { Outcome } from './attempt.ts'
import type { Progress } from './send-call.ts'

/**
 * Adds `may_have_run` to the error of a call outside a batch transaction if part of its work may be
 * committed: a procedure went on after a COMMIT, or the function ended but its rows are too large.
 */
export function withCommitted(outcome: Outcome, call: BoundCall, query: Progress): Outcome {
  if (outcome.kind !== 'refused' || !(outcome.error instanceof GatewayError)) return outcome
  if (!mayBeCommitted(call, query)) return outcome
  const { code, message, details, status } = outcome.error
  const told = new GatewayError(code, message, { ...details, may_have_run: true }, status)
  return { kind: 'refused', error: told }
}

function mayBeCommitted({ signature }: BoundCall, query: Progress): boolean {
  const { kind, verdict } = signature
  if (query.isSettled && !query.error) return !verdict.reads
  return kind === 'procedure' && verdict.commits && query.mayHaveBegun
}
