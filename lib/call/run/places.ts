import { GatewayError } from '../../errors.ts'
import type { BoundCall } from '../bind/parameters.ts'
import type { Signature } from '../signatures/signature.ts'
import { hasVerdict } from '../signatures/verdict/verdict.ts'
import type { Outcome, OutcomeKind, Place } from './attempt.ts'
import type { CallToRun } from './call-to-run.ts'

/** What follows an outcome. */
export type Next =
  | 'answer'
  /** Reads anew what is known of the functions, and begins in the first place. */
  | 'read anew'
  | 'next place'
  /** Once more in the same place, on a fresh connection. */
  | 'once more'
  /** The same for a function that changes nothing. All others may have run: the answer says so. */
  | 'once more if it only reads'
  /** The same where a deploy has cut it as well: see `mayRepeatRetired`. */
  | 'once more if it only reads, or a deploy has cut it'

/**
 * What follows each outcome in each place. So a function runs twice only where nothing is left of
 * the first time: it certainly did not begin, was rolled back, or only reads.
 */
export const NEXT: Record<Place, Record<OutcomeKind, Next>> = {
  replica: {
    rows: 'answer',
    stale: 'next place',
    'not begun': 'next place',
    'rolled back': 'next place',
    lost: 'next place',
    refused: 'answer',
  },
  shared: {
    rows: 'answer',
    stale: 'read anew',
    'not begun': 'next place',
    'rolled back': 'next place',
    lost: 'next place',
    refused: 'answer',
  },
  exclusive: {
    rows: 'answer',
    stale: 'read anew',
    'not begun': 'once more',
    'rolled back': 'once more if it only reads, or a deploy has cut it',
    lost: 'once more if it only reads',
    refused: 'answer',
  },
}

/** Milliseconds. A shared session could keep a call with a shorter limit of its own for too long. */
const MIN_SHARED_LIMIT_MS = 100

/** Whether a call may run on a replica: the function says of itself that it changes nothing. */
export function mayUseReplica({ primary }: CallToRun, { signature }: BoundCall): boolean {
  return !primary && signature.kind === 'function' && signature.volatility !== 'volatile'
}

/**
 * Whether a call may run in a shared session: the function only reads, leaves nothing in its
 * session, and handles no error with which PostgreSQL would tell that it does not belong there.
 */
export function mayShare({ limit }: CallToRun, { signature }: BoundCall): boolean {
  const { reads, handles, afterwards, altersFormats } = signature.verdict
  const isPure = reads && !handles && !altersFormats && afterwards === 'keep'
  const isPatient = limit === undefined || limit.timeoutMs >= MIN_SHARED_LIMIT_MS
  return signature.kind === 'function' && isPure && isPatient
}

/**
 * Whether a call that was lost may run again. That a function is STABLE says nothing of the functions
 * that it calls, which may write.
 */
export function onlyReads(
  { mustOnlyRead }: Pick<CallToRun, 'mustOnlyRead'>,
  { signature }: BoundCall,
): boolean {
  return signature.kind === 'function' && (mustOnlyRead || signature.verdict.reads)
}

/**
 * Whether a call may run again that a deploy has cut. It has to have a verdict: all that such a function
 * does is rolled back with its transaction. Whoever else ends a session may want the function to end.
 */
export function mayRepeatRetired(outcome: Outcome, bound: BoundCall): boolean {
  return outcome.kind === 'rolled back' && outcome.isRetired && isUndoneByRollback(bound)
}

/** Whether all that a function does is rolled back with its transaction, as far as is known. */
export function isUndoneByRollback({ signature }: BoundCall): boolean {
  return signature.kind === 'function' && hasVerdict(signature.verdict)
}

/**
 * Whether a function may be tried in a read-only transaction first. One that may write, and handles
 * the error with which PostgreSQL would tell, may not: what it writes would be lost without a word.
 */
export function claimsToOnlyRead({ signature }: BoundCall): boolean {
  const { kind, verdict, volatility } = signature
  if (kind !== 'function') return false
  return verdict.reads || (volatility !== 'volatile' && !verdict.handles)
}

/**
 * Lets a function through that is STABLE or IMMUTABLE.
 * @throws {GatewayError} method_not_allowed
 */
export function checkOnlyReads(signature: Signature): Signature {
  const { kind, text, volatility } = signature
  if (kind === 'function' && volatility !== 'volatile') return signature
  throw new GatewayError(
    'method_not_allowed',
    kind === 'procedure'
      ? `${text} is a procedure: call it with POST /call`
      : `Function ${text} is VOLATILE, it may change data: call it with POST /call, or declare it ` +
          'STABLE',
  )
}
