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
import { outcomeWithinLimits } from './outcome-within-limits.ts'
import { mayRepeatRetired, onlyReads } from './places.ts'
import { sendProcedure } from './procedure.ts'
import type { Rows } from './result.ts'
import type { BatchResult } from './running-batch.ts'
import { type BatchToRun, BytesLeft, callAt, type RunningBatch } from './running-batch.ts'
import { type SentCall, sendCall } from './send-call.ts'

/** How often calls that did not begin are sent again. */
const MAX_ROUNDS = 5

/** No call of a batch has to only read. */
const WHATEVER_IT_SAYS = { mustOnlyRead: false }

/** A call that was sent, with what becomes of it. */
interface Sent {
  bound: BoundCall
  sent: SentCall
  rows: Promise<Rows>
}

/** A call of a batch that is to run. */
interface Pending {
  place: number
  bound: CurrentCall
}

/**
 * Runs the calls of a batch in their order, none of which touches another: sent one right behind
 * the other, but for those that may leave something in the session, which is reset before the next.
 * With a time limit, each is sent when those before it have ended.
 * One that did not begin, since its function is not as it was, runs when all others have.
 * @throws {GatewayError} where there was no session, or it was lost before the first answer
 */
export async function eachByItself(parts: CallParts, batch: BatchToRun): Promise<BatchResult> {
  const bytes = new BytesLeft(parts.maxResultBytes, batch)
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
      // The others have their results.
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

/** Binds the calls at these places; one that does not fit its function has that for its result. */
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
      results[place] = error
      // What such errors tell takes time to work out, and there may be a thousand.
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
  exclusive.onlyReads = pending.every(({ bound }) => onlyReads(WHATEVER_IT_SAYS, bound))
  budget?.restart(bytes.taken)
  bytes.restart()
  const running: (Sent | { error: unknown })[] = []
  const nextBegins = () => connection.cancelNext()
  const settled = () => Promise.allSettled(running.map((one) => ('rows' in one ? one.rows : one)))
  for (const { bound } of pending) {
    try {
      const isLeaving = bound.signature.verdict.afterwards !== 'keep'
      // What is sent ahead would begin behind the deadline, where the one before it is cancelled.
      if (isLeaving || limit) await settled()
      limits.check()
      expectLeftovers(connection, session, bound.signature)
      const { maxResultBytes } = parts
      const options = {
        bound,
        client,
        database,
        limit,
        settings,
        maxResultBytes,
        mustOnlyRead: false,
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
    } catch (error) {
      running.push({ error })
    }
  }
  session.flush()
  const outcomes: Outcome[] = []
  for (const one of running) outcomes.push(await outcomeOf(batch, one))
  // Each is sent again by itself, or says that it was rolled back.
  if (outcomes.some(({ kind }) => kind === 'rolled back')) return outcomes
  const lost = outcomes.find(({ kind }) => kind === 'lost' || kind === 'not begun')
  // Without an answer to any of them, the work as a whole was lost.
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
 * Whether nothing is left of a call, and it is worth another try; the error that it is to have where
 * that cannot be found out.
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
  if (isLost && onlyReads(WHATEVER_IT_SAYS, bound)) return isWorthAnotherConnection(outcome.error)
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
