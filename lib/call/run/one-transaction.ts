import { GatewayError } from '../../errors.ts'
import { endsConnection, fromPostgres } from '../../postgres/errors.ts'
import { SKIPPED, type Statement } from '../../postgres/session/query.ts'
import type { BoundCall } from '../bind/parameters.ts'
import { isReadOnlyRefusal } from './failures.ts'
import { NATIVE_FORMATS } from './formats.ts'
import { expectLeftovers } from './leftovers.ts'
import { outcomeOfError } from './outcome-of-error.ts'
import { onlyReads } from './places.ts'
import { sendProcedure } from './procedure.ts'
import { type Rows, readResult } from './result.ts'
import { BytesLeft, type RunningBatch } from './running-batch.ts'
import { type Progress, settingsStatement } from './send-call.ts'
import { callStatement } from './statement.ts'

/** How often a batch runs again whose functions were not as they are. */
const MAX_RENEWALS = 5

const BEGIN = {
  'read only': { text: 'begin read only', values: [] },
  '': { text: 'begin', values: [] },
}

/** What one call may have changed for those behind it in the transaction. */
const RESTORE_FORMATS: Statement = {
  text: `select ${NATIVE_FORMATS}`,
  values: [],
  isPrepared: false,
}

/** Which of the calls failed, and with what. */
class CallFailed extends Error {
  readonly place: number
  /** How far its query came; undefined where it was not sent. */
  readonly sent: Progress | undefined

  constructor(place: number, cause: unknown, sent?: Progress) {
    super(`Call ${place} failed`, { cause })
    this.place = place
    this.sent = sent
  }
}

/**
 * Runs the calls of a batch in one transaction. Where a function was replaced meanwhile, nothing is
 * left of it, and all of it runs again.
 * @throws {GatewayError} that of the first call that failed, with its place as `call`
 * @throws {ServerError} that of the commit
 */
export async function inOneTransaction(batch: RunningBatch): Promise<Rows[]> {
  let mayWrite = false
  for (let renewals = 0; ; renewals++) {
    try {
      return await attempt(batch, mayWrite)
    } catch (error) {
      if (!(error instanceof CallFailed)) throw error
      // One that says of itself that it only reads would have written.
      if (isReadOnlyRefusal(error.cause) && !mayWrite) {
        mayWrite = true
        continue
      }
      const { mayRunAgain, told } = await explain(batch, error)
      if (!mayRunAgain || renewals === MAX_RENEWALS) throw told
      batch.room?.restart()
    }
  }
}

async function attempt(batch: RunningBatch, mayWrite: boolean): Promise<Rows[]> {
  const { connection, session } = batch.exclusive
  const calls: BoundCall[] = []
  // Without one of its calls, the batch need not begin.
  for (const place of batch.calls.keys()) calls.push(await ofCall(place, () => batch.bind(place)))
  expectLeftovers(connection, session, ...calls.map(({ signature }) => signature))
  try {
    const results = await runAll(batch, calls, mayWrite)
    const committed = session.simple('commit')
    session.flush()
    await committed
    return results
  } catch (error) {
    await session.simple('rollback').catch(() => {})
    throw error
  }
}

/** Sends all calls one right behind the other; what they gave is known before the commit. */
async function runAll(batch: RunningBatch, calls: BoundCall[], mayWrite: boolean): Promise<Rows[]> {
  const { exclusive, settings, parts } = batch
  const { maxResultBytes } = parts
  const isReadOnly = !mayWrite && calls.every((bound) => onlyReads({ mustOnlyRead: false }, bound))
  exclusive.onlyReads = isReadOnly
  const bytes = new BytesLeft(maxResultBytes)
  const results: Rows[] = []
  let before: Statement[] = [BEGIN[isReadOnly ? 'read only' : '']]
  if (settings) before.push(settingsStatement(settings, true))
  for (let first = 0; first < calls.length; ) {
    let end = calls.findIndex(({ signature }, i) => i >= first && signature.kind === 'procedure')
    if (end < 0) end = calls.length
    if (end > first || before.length > 0) {
      results.push(...(await runPipeline(batch, before, calls.slice(first, end), first, bytes)))
      before = []
    }
    if (end < calls.length) {
      results.push(await runProcedure(batch, calls[end]!, end, bytes))
      before = [RESTORE_FORMATS]
    }
    first = end + 1
  }
  return results
}

/** Runs functions under one Sync. */
async function runPipeline(
  { exclusive, parts, room }: RunningBatch,
  before: Statement[],
  calls: BoundCall[],
  first: number,
  bytes: BytesLeft,
): Promise<Rows[]> {
  const { session, sent } = exclusive
  const statements = [...before]
  const places: number[] = []
  let isPrepared = true
  for (const bound of calls) {
    places.push(statements.length)
    statements.push({ ...callStatement(bound, parts.maxResultBytes, room), isPrepared })
    if (bound.signature.verdict.altersFormats) statements.push(RESTORE_FORMATS)
    // It may deallocate what the session has prepared.
    if (bound.signature.verdict.afterwards !== 'keep') isPrepared = false
  }
  const queries = session.pipeline(statements)
  session.flush()
  sent.push(...queries)
  const settled = await Promise.allSettled(queries.map(({ result }) => result))
  const failedAt = settled.findIndex(
    (one) => one.status === 'rejected' && (one.reason as { code?: string }).code !== SKIPPED,
  )
  const results: Rows[] = []
  for (const [i, at] of places.entries()) {
    const outcome = settled[at]!
    if (outcome.status === 'rejected') break
    results.push(
      await ofCall(first + i, async () =>
        bytes.take(readResult(outcome.value, parts.maxResultBytes)),
      ),
    )
  }
  if (failedAt < 0) return results
  const { reason } = settled[failedAt] as PromiseRejectedResult
  const call = places.indexOf(failedAt)
  if (call < 0) throw reason
  throw new CallFailed(first + call, reason, queries[failedAt]!)
}

async function runProcedure(
  { exclusive, parts, room }: RunningBatch,
  bound: BoundCall,
  place: number,
  bytes: BytesLeft,
): Promise<Rows> {
  const { maxResultBytes } = parts
  const options = { bound, settings: undefined, maxResultBytes, mustOnlyRead: false, room }
  const sent = sendProcedure(exclusive.session, options)
  exclusive.sent.push(sent.query)
  try {
    return bytes.take(await sent.rows)
  } catch (error) {
    throw new CallFailed(place, error, sent.query)
  }
}

async function ofCall<T>(place: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw new CallFailed(place, error)
  }
}

/** Whether the batch may run again, as nothing is left of it, and what the caller is told else. */
async function explain(
  batch: RunningBatch,
  { place, cause, sent }: CallFailed,
): Promise<{ mayRunAgain: boolean; told: unknown }> {
  const { exclusive, database, parts, calls } = batch
  // With the connection went the whole batch.
  if (endsConnection(cause)) return { mayRunAgain: false, told: cause }
  const explained = exclusive.limits.explain(cause)
  if (explained !== cause || !sent) {
    return { mayRunAgain: false, told: placed(fromPostgres(explained, database), place) }
  }
  const bound = await batch.bind(place)
  const outcome = await outcomeOfError({ bound, database }, exclusive.session, sent, cause)
  if (outcome.kind === 'rows') return { mayRunAgain: false, told: cause }
  const told = placed(fromPostgres(outcome.error, database), place)
  if (outcome.kind === 'not begun') return { mayRunAgain: true, told }
  const isStale = outcome.kind === 'stale'
  return {
    mayRunAgain: isStale && (await parts.functions.stale(database, calls[place]!.name)),
    told,
  }
}

function placed(error: unknown, place: number): unknown {
  if (!(error instanceof GatewayError)) return error
  const { code, message, details, status } = error
  return new GatewayError(code, message, { ...details, call: place }, status)
}
