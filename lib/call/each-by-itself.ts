import { GatewayError } from '../errors.ts'
import { isStatementGone } from '../postgres/errors.ts'
import { resetSession } from '../postgres/reset.ts'
import type { Batch } from './batch.ts'
import type { BatchCall } from './batch-request.ts'
import type { BoundCall } from './bind/parameters.ts'
import { MAX_RENEWALS } from './current.ts'
import { runProcedure } from './procedure.ts'
import { Room } from './room.ts'
import { type Rows, runCall, UNPREPARED } from './run.ts'
import { enter } from './session-state.ts'
import { watchTogether } from './watch.ts'

type Outcome = PromiseSettledResult<Rows>

/**
 * Runs the calls of a batch in their order, none of which touches another: sent one right behind
 * the other, but for those that may leave something in the session, as procedures may: it is reset
 * before the next. One that did not run, since its function was replaced meanwhile, runs when all
 * others have.
 */
export async function eachByItself(batch: Batch): Promise<Outcome[]> {
  const { calls, maxBytes } = batch
  const room = new Room(maxBytes)
  const outcomes: Outcome[] = []
  let pending = calls.map((_, i) => i)
  for (let renewals = 0; pending.length > 0; renewals++) {
    const settled = await inOrder(
      batch,
      room,
      pending.map((i) => calls[i]!),
    )
    for (const [k, i] of pending.entries()) outcomes[i] = settled[k]!
    pending = renewals < MAX_RENEWALS ? await replaced(batch, outcomes, pending) : []
  }
  return outcomes
}

async function inOrder(batch: Batch, room: Room, calls: BatchCall[]): Promise<Outcome[]> {
  const { connection, sql, functions, session, watch, maxBytes } = batch
  const together = watchTogether(watch)
  const running: Promise<Rows>[] = []
  const keep = (rows: Promise<Rows>) => {
    // It may fail while the next is being bound.
    rows.catch(() => {})
    running.push(rows)
  }
  const run = (call: BoundCall): Promise<Rows> =>
    call.signature.kind === 'procedure'
      ? runProcedure(sql, call, maxBytes, watch, session)
      : runCall(sql, call, maxBytes, together, session, batch.preparing)

  for (const call of calls) {
    try {
      const bound = await functions.bind(call)
      const isLeaving = bound.signature.afterwards !== 'keep'
      if (isLeaving) await Promise.allSettled(running)
      if (watch.isOver) throw notRun()
      enter(connection, bound.signature)
      keep(run(bound).then((rows) => room.take(rows)))
      if (isLeaving) {
        await Promise.allSettled(running)
        if (!(await resetSession(connection))) connection.destroy()
        // It may have deallocated what was prepared before.
        batch.preparing = UNPREPARED
      }
    } catch (error) {
      keep(Promise.reject(error))
    }
  }
  return Promise.allSettled(running)
}

/** Those of the calls that are worth another try: their functions are not as they were. */
async function replaced(batch: Batch, outcomes: Outcome[], pending: number[]): Promise<number[]> {
  const { calls, functions } = batch
  const isReplaced = await Promise.all(
    pending.map(async (i) => {
      const outcome = outcomes[i]!
      if (outcome.status === 'fulfilled') return false
      if (isStatementGone(outcome.reason)) {
        batch.preparing = UNPREPARED
        return true
      }
      try {
        return await functions.isReplaced(calls[i]!.name, outcome.reason)
      } catch (reason) {
        outcomes[i] = { status: 'rejected', reason }
        return false
      }
    }),
  )
  return pending.filter((_, k) => isReplaced[k])
}

function notRun(): GatewayError {
  return new GatewayError('query_timeout', 'The function did not run: the time was up (timeout_ms)')
}
