import { setImmediate } from 'node:timers/promises'
import { GatewayError } from '../../errors.ts'
import { endsConnection } from '../../postgres/errors.ts'
import { isWorthAnotherConnection } from '../../postgres/hosts/again.ts'
import { resetSession } from '../../postgres/pools/reset.ts'
import type { BoundCall } from '../bind/parameters.ts'
import type { Outcome, Timing } from './attempt.ts'
import type { CallParts } from './call-to-run.ts'
import { bindCurrent, type CurrentCall, isStale } from './current.ts'
import { inExclusiveSession } from './exclusive-session.ts'
import { lostCall } from './failures.ts'
import { expectLeftovers } from './leftovers.ts'
import { enterMode } from './mode.ts'
import { outcomeWithinLimits } from './outcome-within-limits.ts'
import { mayRepeatRetired, onlyReads } from './places.ts'
import { sendProcedure } from './procedure.ts'
import type { Rows } from './result.ts'
import type { BatchResult } from './running-batch.ts'
import { type BatchToRun, BytesLeft, callAt, type RunningBatch } from './running-batch.ts'
import { type SentCall, sendCall } from './send-call.ts'

/** Maximum number of rounds in which calls that did not begin are sent again. */
const MAX_ROUNDS = 5

/** Calls of a batch have no read-only requirement. */
const MAY_WRITE = { mustOnlyRead: false }

/** A call that was sent, and its future rows. */
interface Sent {
  bound: BoundCall
  sent: SentCall
  rows: Promise<Rows>
}

/** A call of the batch that has not run yet, with its place in the batch. */
interface Pending {
  place: number
  bound: CurrentCall
}

/**
 * Runs the calls of a batch in order, each in its own transaction. The calls are pipelined, with
 * two exceptions: a call that may leave session state is followed by a reset, and with a time limit
 * each call is sent after the previous one has ended. A call that did not begin because its
 * signature was stale runs after all others.
 * @throws {GatewayError} if no session was available, or if the connection was lost before the
 *   first answer
 */
export async function eachByItself(parts: CallParts, batch: BatchToRun): Promise<BatchResult> {
  const bytes = new BytesLeft(parts.settings.maxResultBytes, batch)
  const results: (Rows | GatewayError)[] = []
  const timing: Timing = { waitMs: 0, queryMs: 0 }
  let places = [...batch.calls.keys()]
  for (let round = 1; places.length > 0; round++) {
    const pending = await bindAll(parts, batch, places, results)
    if (pending.length === 0) break
    let outcomes: Outcome[]
    try {
      const done = await inExclusiveSession(parts.pools, batch, async (exclusive) => ({
        outcomes: await runInOrder({ ...batch, parts, exclusive }, pending, bytes),
      }))
      outcomes = done.outcomes
      timing.waitMs += done.waitMs
      timing.queryMs += done.queryMs
    } catch (error) {
      if (round === 1) throw error
      // Calls of earlier rounds keep their results.
      outcomes = pending.map(() => ({ kind: 'refused', error }))
    }
    places = []
    for (const [i, { place, bound }] of pending.entries()) {
      const outcome = outcomes[i]!
      if (outcome.kind === 'rows') {
        results[place] = outcome.result
        continue
      }
      const next =
        round <= MAX_ROUNDS && (await mayRunAgain(parts, batch, { place, bound }, outcome))
      if (next === true) places.push(place)
      else results[place] = next || toldOf(batch, outcome)
    }
  }
  return { results, ...timing }
}

/** Binds the calls at these places. The error of a call that does not bind becomes its result. */
async function bindAll(
  parts: CallParts,
  batch: BatchToRun,
  places: number[],
  results: (Rows | GatewayError)[],
): Promise<Pending[]> {
  const pending: Pending[] = []
  for (const place of places) {
    try {
      pending.push({ place, bound: await bindCurrent(parts, callAt(batch, place)) })
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error
      // Nothing has run yet: the batch may follow its tenant.
      const isFirst = places.length === batch.calls.length
      if (error.code === 'database_not_found' && isFirst) throw error
      results[place] = error
      // Building such an error takes time, and a batch may have many.
      await setImmediate()
    }
  }
  return pending
}

async function runInOrder(
  batch: RunningBatch,
  pending: Pending[],
  bytes: BytesLeft,
): Promise<Outcome[]> {
  const { exclusive, client, database, limit, settings, parts, budget } = batch
  const { connection, session, limits } = exclusive
  exclusive.onlyReads = pending.every(({ bound }) => onlyReads(MAY_WRITE, bound))
  budget?.restart(bytes.taken)
  bytes.restart()
  const running: (Sent | { error: unknown })[] = []
  const nextBegins = () => connection.cancelNext()
  const settled = () => Promise.allSettled(running.map((one) => ('rows' in one ? one.rows : one)))
  for (const { bound } of pending) {
    try {
      const isLeaving = bound.signature.verdict.afterwards !== 'keep'
      // A call sent ahead would begin after the deadline if the call before it is cancelled.
      if (isLeaving || limit) await settled()
      limits.check()
      expectLeftovers(connection, session, bound.signature)
      const { maxResultBytes } = parts.settings
      const options = {
        bound,
        client,
        database,
        limit,
        settings,
        maxResultBytes,
        mustOnlyRead: batch.restrictions?.isReadOnly === true,
        budget: bytes.budgetIn(budget),
      }
      const send = bound.signature.kind === 'procedure' ? sendProcedure : sendCall
      const sent = send(session, options)
      exclusive.sent.push(sent.query)
      const rows = sent.rows.then((result) => bytes.take(result))
      rows.then(nextBegins, nextBegins)
      running.push({ bound, sent, rows })
      if (!isLeaving) continue
      session.flush()
      await settled()
      if (!(await resetSession(connection))) connection.destroy()
      enterMode(connection, session, 'exclusive', batch.restrictions)
    } catch (error) {
      running.push({ error })
    }
  }
  session.flush()
  const outcomes: Outcome[] = []
  for (const one of running) outcomes.push(await outcomeOf(batch, one))
  // A call that was rolled back is sent again, or its error says so.
  if (outcomes.some(({ kind }) => kind === 'rolled back')) return outcomes
  const lost = outcomes.find(({ kind }) => kind === 'lost' || kind === 'not begun')
  // Without any answer, the batch as a whole was lost.
  const isLost = outcomes.every((one) => one.kind !== 'rows' && endsConnection(one.error))
  if (isLost && lost && lost.kind !== 'rows') throw lost.error
  return outcomes
}

async function outcomeOf(
  { exclusive }: RunningBatch,
  one: Sent | { error: unknown },
): Promise<Outcome> {
  if ('error' in one) return { kind: 'refused', error: one.error }
  const { bound, sent, rows } = one
  try {
    return { kind: 'rows', result: { ...(await rows), waitMs: 0, queryMs: 0 } }
  } catch (error) {
    return outcomeWithinLimits(exclusive, bound, sent, error)
  }
}

/**
 * Returns whether a call has had no effect and is worth another attempt; or the error for the
 * caller if that cannot be determined.
 */
async function mayRunAgain(
  parts: CallParts,
  batch: BatchToRun,
  { place, bound }: Pending,
  outcome: Outcome,
): Promise<boolean | GatewayError> {
  const { client, limit } = batch
  if (client.isGone || (limit && performance.now() >= limit.deadline)) return false
  if (outcome.kind === 'stale') {
    return isStale(parts, callAt(batch, place), bound).catch((error) => {
      if (error instanceof GatewayError) return error
      throw error
    })
  }
  const isLost = outcome.kind === 'lost' || outcome.kind === 'rolled back'
  if (isLost && onlyReads(MAY_WRITE, bound)) return isWorthAnotherConnection(outcome.error)
  return outcome.kind === 'not begun' || mayRepeatRetired(outcome, bound)
}

function toldOf(
  { database }: BatchToRun,
  { kind, error }: Exclude<Outcome, { kind: 'rows' }>,
): GatewayError {
  const told =
    error instanceof GatewayError
      ? error
      : lostCall(error, database, kind === 'lost', kind === 'rolled back')
  if (told instanceof GatewayError) return told
  throw told
}
