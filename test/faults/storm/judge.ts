import type { Json } from '../../helpers/gateway.ts'
import type { Call } from './kinds.ts'

/**
 * What an answer tells of the call: `done`, it has run once; `undone`, nothing of it is left;
 * `unknown`, it may have run once; `wrong`, the answer is not one that the call may have.
 */
export type Outcome = 'done' | 'undone' | 'unknown' | 'wrong'

/** What went on during a call. */
export interface Circumstances {
  /** How long it took. */
  ms: number
  isDeploying: boolean
  statementTimeoutMs: number
}

/** What may be said of one call: the answer of /call, or its place in that of /batch. */
export function judge(
  call: Call,
  { status, ...body }: Json,
  { ms, isDeploying, statementTimeoutMs }: Circumstances,
): Outcome {
  if (status === 200) return isRight(call, body.rows) ? 'done' : 'wrong'
  const errors = call.errors.filter(({ duringDeploy }) => isDeploying || !duringDeploy)
  if (errors.some((error) => isExpected(call, error, status, body))) return 'undone'
  if (status === 503 && body.error === 'pool_exhausted') return 'undone'
  if (status === 503 && body.error === 'connection_failed') {
    return body.may_have_run === false ? 'undone' : 'unknown'
  }
  // Before its time is over a call is cancelled by a stranger's mistake alone.
  const limitMs = Math.min(call.timeoutMs ?? Number.POSITIVE_INFINITY, statementTimeoutMs)
  if (status === 504 && body.error === 'query_timeout' && ms >= limitMs - CLOCK_MS) {
    return call.kind.isProcedure ? 'unknown' : 'undone'
  }
  return 'wrong'
}

/** A timer may fire a moment early. */
const CLOCK_MS = 2

function isRight(call: Call, rows: Json): boolean {
  if (!Array.isArray(rows) || !call.isRight) return false
  try {
    return call.isRight(rows)
  } catch {
    // A row is missing that is looked into.
    return false
  }
}

function isExpected(
  call: Call,
  expected: Call['errors'][number],
  status: number,
  body: Json,
): boolean {
  return (
    status === expected.status &&
    (expected.sqlstate === undefined || body.sqlstate === expected.sqlstate) &&
    (expected.error === undefined || body.error === expected.error) &&
    (!expected.hasToken || String(body.cause).includes(call.token))
  )
}
