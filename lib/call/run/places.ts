import { GatewayError } from '../../errors.ts'
import type { BoundCall } from '../bind/parameters.ts'
import type { Signature } from '../signatures/signature.ts'
import { hasVerdict } from '../signatures/verdict/verdict.ts'
import type { Outcome, OutcomeKind, Place } from './attempt.ts'
import type { CallToRun } from './call-to-run.ts'

/** Next step after an outcome. */
export type Next =
  | 'answer'
  /** Read the schema again and start over in the first place. */
  | 'read anew'
  | 'next place'
  /** Repeat in the same place, on a fresh connection. */
  | 'once more'
  /** Repeat only a function that only reads. Any other may have run, and its error says so. */
  | 'once more if it only reads'
  /** Repeat also if a deploy interrupted the call: see `mayRepeatRetired`. */
  | 'once more if it only reads, or a deploy has cut it'

/**
 * Next step for each outcome in each place. A function runs twice only if the first run has had no
 * effect: it certainly did not begin, was rolled back, or only reads.
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

/**
 * Minimum time limit of a call in a shared session, in milliseconds. There a call may wait too long
 * for the calls before it.
 */
const MIN_SHARED_LIMIT_MS = 100

/** Returns whether a call may run on a replica: the function is declared STABLE or IMMUTABLE. */
export function mayUseReplica({ primary }: CallToRun, { signature }: BoundCall): boolean {
  return !primary && signature.kind === 'function' && signature.volatility !== 'volatile'
}

/**
 * Returns whether a call may run in a shared session: the function only reads, leaves no session
 * state, and does not handle the errors by which PostgreSQL rejects it there.
 */
export function mayShare({ limit }: CallToRun, { signature }: BoundCall): boolean {
  const { reads, handles, afterwards, altersFormats } = signature.verdict
  const isPure = reads && !handles && !altersFormats && afterwards === 'keep'
  const isPatient = limit === undefined || limit.timeoutMs >= MIN_SHARED_LIMIT_MS
  return signature.kind === 'function' && isPure && isPatient
}

/**
 * Returns whether a lost call may run again. STABLE alone does not suffice: a STABLE function may
 * call functions that write.
 */
export function onlyReads(
  { mustOnlyRead }: Pick<CallToRun, 'mustOnlyRead'>,
  { signature }: BoundCall,
): boolean {
  return signature.kind === 'function' && (mustOnlyRead || signature.verdict.reads)
}

/**
 * Returns whether a call that a deploy interrupted may run again. The function must have a verdict,
 * so that a rollback undoes all that it does. A session terminated by anyone else does not count:
 * an administrator may want to stop the function.
 */
export function mayRepeatRetired(outcome: Outcome, bound: BoundCall): boolean {
  return outcome.kind === 'rolled back' && outcome.isRetired && isUndoneByRollback(bound)
}

/** Returns whether a rollback undoes all that a function does, as far as is known. */
export function isUndoneByRollback({ signature }: BoundCall): boolean {
  return signature.kind === 'function' && hasVerdict(signature.verdict)
}

/**
 * Returns whether a function may first run in a read-only transaction. A function that may write
 * and handles read_only_sql_transaction may not: its writes would be lost silently.
 */
export function claimsToOnlyRead({ signature }: BoundCall): boolean {
  const { kind, verdict, volatility } = signature
  if (kind !== 'function') return false
  return verdict.reads || (volatility !== 'volatile' && !verdict.handles)
}

/**
 * Returns the signature if the function is STABLE or IMMUTABLE.
 * @throws {GatewayError} method_not_allowed
 */
export function checkOnlyReads(signature: Signature): Signature {
  const { kind, text, volatility } = signature
  if (kind === 'function' && volatility !== 'volatile') return signature
  throw new GatewayError(
    'method_not_allowed',
    kind === 'procedure'
      ? `${text} is a procedure: call it with POST /call`
      : `Function ${text} is VOLATILE and may change data: call it with POST /call, or declare it ` +
          'STABLE',
  )
}
