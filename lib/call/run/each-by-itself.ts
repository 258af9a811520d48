import { GatewayError } from '../../errors.ts'
import { endsConnection } from '../../postgres/errors.ts'
import { resetSession } from '../../postgres/reset.ts'
import type { BoundCall } from '../bind/parameters.ts'
import type { Outcome } from './attempt.ts'
import { lostCall } from './failures.ts'
import { expectLeftovers } from './leftovers.ts'
import { outcomeOfError } from './outcome-of-error.ts'
import { sendProcedure } from './procedure.ts'
import type { Rows } from './result.ts'
import { BytesLeft, type RunningBatch } from './running-batch.ts'
import { type SentCall, sendCall } from './send-call.ts'

/** How often calls that did not begin are sent again. */
const MAX_ROUNDS = 5

/** A call that was sent, with what becomes of it. */
interface Sent {
  bound: BoundCall
  sent: SentCall
  rows: Promise<Rows>
}

/**
 * Runs the calls of a batch in their order, none of which touches another: sent one right behind
 * the other, but for those that may leave something in the session, which is reset before the next.
 * One that did not begin, since its function is not as it was, runs when all others have.
 * @throws the error of the connection where it was lost before the first answer
 */
export async function eachByItself(batch: RunningBatch): Promise<(Rows | GatewayError)[]> {
  const { calls, parts } = batch
  const bytes = new BytesLeft(parts.maxResultBytes)
  const results: (Rows | GatewayError)[] = []
  let pending = calls.map((_, place) => place)
  for (let round = 1; pending.length > 0; round++) {
    const outcomes = await runInOrder(batch, pending, bytes)
    const again: number[] = []
    for (const [i, place] of pending.entries()) {
      const outcome = outcomes[i]!
      if (outcome.kind === 'rows') results[place] = outcome.result
      else if (round <= MAX_ROUNDS && (await didNotBegin(batch, place, outcome))) again.push(place)
      else results[place] = toldOf(batch, outcome)
    }
    pending = again
  }
  return results
}

async function runInOrder(
  batch: RunningBatch,
  places: number[],
  bytes: BytesLeft,
): Promise<Outcome[]> {
  const { exclusive, settings, parts, room } = batch
  const { connection, session, limits } = exclusive
  const running: (Sent | { error: unknown })[] = []
  const nextBegins = () => connection.cancelNext()
  const settled = () => Promise.allSettled(running.map((one) => ('rows' in one ? one.rows : one)))
  for (const place of places) {
    try {
      const bound = await batch.bind(place)
      const isLeaving = bound.signature.verdict.afterwards !== 'keep'
      if (isLeaving) await settled()
      if (limits.isOver) throw notRun()
      expectLeftovers(connection, session, bound.signature)
      const { maxResultBytes } = parts
      const options = { bound, settings, maxResultBytes, mustOnlyRead: false, room }
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
  const lost = outcomes.find(({ kind }) => kind === 'lost' || kind === 'not begun')
  // Without an answer to any of them, the work as a whole was lost.
  const isLost = outcomes.every((one) => one.kind !== 'rows' && endsConnection(one.error))
  if (isLost && lost && lost.kind !== 'rows') throw lost.error
  return outcomes
}

async function outcomeOf(
  { exclusive, database }: RunningBatch,
  one: Sent | { error: unknown },
): Promise<Outcome> {
  if ('error' in one) return { kind: 'refused', error: one.error }
  const { bound, sent, rows } = one
  try {
    return { kind: 'rows', result: { ...(await rows), waitMs: 0, queryMs: 0 } }
  } catch (error) {
    const explained = exclusive.limits.explain(error)
    if (explained !== error) return { kind: 'refused', error: explained }
    return outcomeOfError({ bound, database }, exclusive.session, sent.query, error)
  }
}

/** Whether a call is worth another try on this session. */
async function didNotBegin(
  { parts, database, calls, exclusive }: RunningBatch,
  place: number,
  outcome: Exclude<Outcome, { kind: 'rows' }>,
): Promise<boolean> {
  if (exclusive.connection.closed || exclusive.limits.isOver) return false
  if (outcome.kind === 'stale') return parts.functions.stale(database, calls[place]!.name)
  return outcome.kind === 'not begun'
}

function toldOf(
  { database }: RunningBatch,
  { kind, error }: Exclude<Outcome, { kind: 'rows' }>,
): GatewayError {
  const told = error instanceof GatewayError ? error : lostCall(error, database, kind === 'lost')
  if (told instanceof GatewayError) return told
  throw told
}

function notRun(): GatewayError {
  return new GatewayError('query_timeout', 'The function did not run: the time was up (timeout_ms)')
}
