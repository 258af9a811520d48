import { type ErrorCode, GatewayError } from '../errors.ts'

/** Codes of what a call meets that was cancelled as if its client had gone. */
const CAUSED = new Set<ErrorCode>(['pool_exhausted', 'query_timeout', 'connection_failed'])

/**
 * Returns call_cancelled in the place of an error that a cancellation by an operator has caused;
 * any other error as it is.
 */
export function toldCancelled(client: { isCancelled?: boolean }, error: unknown): unknown {
  if (!client.isCancelled || !(error instanceof GatewayError) || !CAUSED.has(error.code))
    return error
  const { database, may_have_run } = error.details
  const mayHaveRun = may_have_run === true
  return new GatewayError(
    'call_cancelled',
    `An operator has cancelled the call; ${mayHaveRun ? 'it may have run' : 'what it had done is rolled back'}`,
    { ...(database !== undefined && { database }), may_have_run: mayHaveRun },
  )
}
