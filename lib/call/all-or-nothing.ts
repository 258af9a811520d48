import { GatewayError } from '../errors.ts'
import { endsConnection, fromPostgres, isStatementGone } from '../postgres/errors.ts'
import { answers } from '../postgres/pipeline.ts'
import type { Batch } from './batch.ts'
import type { BoundCall } from './bind/parameters.ts'
import { MAX_RENEWALS } from './current.ts'
import { explain } from './explain.ts'
import { runProcedure } from './procedure.ts'
import { Room } from './room.ts'
import { guardedQuery, type Rows, readResult, UNPREPARED } from './run.ts'
import { enter } from './session-state.ts'
import { begin } from './transaction.ts'
import { watchTogether } from './watch.ts'

/** Which of the calls failed, and with what. */
class CallFailed extends Error {
  readonly place: number

  constructor(place: number, cause: unknown) {
    super(`Call ${place} failed`, { cause })
    this.place = place
  }
}

/**
 * Runs the calls of a batch in one transaction. Where a function was replaced meanwhile, nothing is
 * left of it, and all of it runs again.
 * @throws {GatewayError} that of the first call that failed, with its place as `call`
 * @throws {PostgresError} that of the commit
 */
export async function allOrNothing(batch: Batch): Promise<Rows[]> {
  for (let renewals = 0; ; renewals++) {
    try {
      return await attempt(batch)
    } catch (error) {
      if (!(error instanceof CallFailed)) throw error
      if (isStatementGone(error.cause) && batch.preparing !== UNPREPARED) {
        batch.preparing = UNPREPARED
        continue
      }
      if (renewals === MAX_RENEWALS || !(await isReplaced(batch, error))) throw told(batch, error)
    }
  }
}

async function attempt(batch: Batch): Promise<Rows[]> {
  const { sql, watch } = batch
  // Without one of its calls, the batch need not begin.
  const calls: BoundCall[] = []
  for (const [i, call] of batch.calls.entries()) {
    calls.push(await batch.functions.bind(call).catch((error) => failed(i, error)))
  }
  enter(batch.connection, ...calls.map(({ signature }) => signature))
  try {
    const results = await runAll(batch, calls)
    const commit = sql.unsafe('commit').execute()
    watch.over([commit])
    await commit
    return results
  } catch (error) {
    await sql.unsafe('rollback').catch(() => {})
    if (!(error instanceof CallFailed)) throw error
    const { place, cause } = error
    throw new CallFailed(place, await explain(sql, calls[place]!, cause))
  }
}

/** Sends all calls one right behind the other; what they gave is known before the commit. */
async function runAll(batch: Batch, calls: BoundCall[]): Promise<Rows[]> {
  const { sql, session, watch, maxBytes } = batch
  const room = new Room(maxBytes)
  const together = watchTogether(watch)
  const isReadOnly = calls.every(({ signature }) => signature.isReadOnly)
  const opening = answers(begin(sql, { isReadOnly, session }))
  const running: Promise<Rows>[] = []

  for (const call of calls) {
    if (call.signature.kind === 'procedure') {
      await settled(opening, running)
      running.push(runProcedure(sql, call, maxBytes, watch).then((rows) => room.take(rows)))
      await settled(opening, running)
    } else {
      const query = guardedQuery(sql, call, maxBytes, batch.preparing)
      together.over([query])
      running.push(query.then((result) => room.take(readResult(call, result, maxBytes))))
    }
  }
  return settled(opening, running)
}

/** @throws {CallFailed} for the first that failed */
async function settled(opening: Promise<void>, running: Promise<Rows>[]): Promise<Rows[]> {
  const [opened, ...outcomes] = await Promise.allSettled([opening, ...running])
  if (opened.status === 'rejected') throw opened.reason
  return outcomes.map((outcome, i) =>
    outcome.status === 'rejected' ? failed(i, outcome.reason) : outcome.value,
  )
}

function failed(place: number, error: unknown): never {
  throw new CallFailed(place, error)
}

/**
 * Whether the function of the call is not as it was.
 * @throws {GatewayError} function_not_found where it is gone
 */
async function isReplaced(batch: Batch, { place, cause }: CallFailed): Promise<boolean> {
  try {
    return await batch.functions.isReplaced(batch.calls[place]!.name, cause)
  } catch (error) {
    throw told(batch, new CallFailed(place, error))
  }
}

function told({ watch, database }: Batch, { place, cause }: CallFailed): unknown {
  const error = fromPostgres(watch.explain(cause), database)
  // With the connection went the whole batch.
  if (!(error instanceof GatewayError) || endsConnection(cause)) return cause
  const { code, message, details, status } = error
  return new GatewayError(code, message, { ...details, call: place }, status)
}
