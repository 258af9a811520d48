import { GatewayError } from '../../errors.ts'
import { endsConnection, fromPostgres } from '../../postgres/errors.ts'
import { SKIPPED, type Statement } from '../../postgres/session/query.ts'
import type { BoundCall } from '../bind/parameters.ts'
import type { Outcome } from './attempt.ts'
import type { CallParts } from './call-to-run.ts'
import { bindCurrent, type CurrentCall, isStale, MAX_RENEWALS } from './current.ts'
import { inExclusiveSession } from './exclusive-session.ts'
import { isReadOnlyRefusal } from './failures.ts'
import { NATIVE_FORMATS } from './formats.ts'
import { expectLeftovers } from './leftovers.ts'
import { numbersAsText } from './numbers-as-text.ts'
import { outcomeOfError } from './outcome-of-error.ts'
import { claimsToOnlyRead, isUndoneByRollback } from './places.ts'
import { sendProcedure } from './procedure.ts'
import { type Rows, readResult } from './result.ts'
import type { BatchResult } from './running-batch.ts'
import { type BatchToRun, BytesLeft, callAt, type RunningBatch } from './running-batch.ts'
import { KEEP_PRESENCE, type Progress, type SendOptions, settingsStatement } from './send-call.ts'
import { callStatement, columnsOfCall } from './statement.ts'

const BEGIN = {
  'read only': { text: 'begin read only', values: [] },
  '': { text: 'begin', values: [] },
}

/** Restores the formats that a call may have changed, for later calls in the transaction. */
const RESTORE_FORMATS: Statement = {
  text: `select ${NATIVE_FORMATS}`,
  values: [],
  isPrepared: false,
}

/** A call of the batch failed; `cause` is its error. */
class CallFailed extends Error {
  readonly place: number
  /** Progress of its query; undefined if it was not sent. */
  readonly sent: Progress | undefined

  constructor(place: number, cause: unknown, sent?: Progress) {
    super(`Call ${place} failed`, { cause })
    this.place = place
    this.sent = sent
  }
}

/** Outcome of a transaction that was rolled back. */
interface RolledBack {
  place: number
  outcome: Exclude<Outcome, { kind: 'rows' }>
  /** True: a function that claims to only read attempted a write. */
  mustWrite: boolean
}

/**
 * Runs the calls of a batch in one transaction. If a signature was stale, the transaction is rolled
 * back and the whole batch runs again.
 * @throws {GatewayError} that of the first call that failed, with its place as `call`; as
 *   `inExclusiveSession`
 */
export async function inOneTransaction(parts: CallParts, batch: BatchToRun): Promise<BatchResult> {
  let mayWrite = false
  for (let renewals = 0; ; renewals++) {
    // The batch does not begin unless all its calls bind.
    const calls = await bindAll(parts, batch)
    const { rolledBack, ...done } = await inExclusiveSession(parts.pools, batch, (exclusive) =>
      attempt({ ...batch, parts, exclusive }, calls, mayWrite),
    )
    if (!rolledBack) return done
    const { place, outcome, mustWrite } = rolledBack
    mayWrite ||= mustWrite
    if (mustWrite) continue
    const told = placed(fromPostgres(outcome.error, batch.database), place)
    const mayRunAgain =
      outcome.kind === 'not begun' ||
      (outcome.kind === 'stale' && (await isStale(parts, callAt(batch, place), calls[place]!)))
    if (!mayRunAgain || renewals === MAX_RENEWALS) throw told
  }
}

async function bindAll(parts: CallParts, batch: BatchToRun): Promise<CurrentCall[]> {
  const bound: CurrentCall[] = []
  for (const place of batch.calls.keys()) {
    try {
      bound.push(await bindCurrent(parts, callAt(batch, place)))
    } catch (error) {
      throw placed(error, place)
    }
  }
  return bound
}

async function attempt(
  batch: RunningBatch,
  calls: BoundCall[],
  mayWrite: boolean,
): Promise<{ results: Rows[]; rolledBack?: RolledBack }> {
  const { connection, session } = batch.exclusive
  // This may be the second attempt, after the first lost its session.
  batch.budget?.restart(batch.bytes?.taken)
  expectLeftovers(connection, session, ...calls.map(({ signature }) => signature))
  batch.exclusive.mayRepeat = calls.every(isUndoneByRollback)
  batch.exclusive.isUncommitted = true
  try {
    const { keeping, budget } = batch
    const kept = await keeping?.begin(batch.exclusive, budget)
    if (kept) {
      await session.simple('rollback')
      return { results: kept.map((rows) => batch.bytes?.take(rows) ?? rows) }
    }
    const results = await runAll(batch, calls, mayWrite)
    await keeping?.keep(batch.exclusive, results)
    batch.exclusive.limits.checkGoesOn()
    batch.exclusive.isUncommitted = false
    const committed = session.simple('commit')
    session.flush()
    await committed
    return { results }
  } catch (error) {
    await session.simple('rollback').catch(() => {})
    if (!(error instanceof CallFailed)) throw error
    return { results: [], rolledBack: await explain(batch, calls, error) }
  }
}

/** Sends all calls, pipelined between procedures. All results are read before the commit. */
async function runAll(batch: RunningBatch, calls: BoundCall[], mayWrite: boolean): Promise<Rows[]> {
  const { exclusive, settings, parts, keeping } = batch
  const { maxResultBytes } = parts.settings
  const isHarmless = !mayWrite && !keeping && calls.every(claimsToOnlyRead)
  const isReadOnly = isHarmless || batch.restrictions?.isReadOnly === true
  exclusive.onlyReads = isHarmless
  const bytes = batch.bytes ?? new BytesLeft(maxResultBytes, batch)
  bytes.restart()
  const results: Rows[] = []
  let before: Statement[] = keeping ? [] : [BEGIN[isReadOnly ? 'read only' : '']]
  if (calls.some(mayLeave)) before.push(KEEP_PRESENCE)
  if (settings) before.push(settingsStatement(settings, true))
  for (let first = 0; first < calls.length; ) {
    let end = calls.findIndex(({ signature }, i) => i >= first && signature.kind === 'procedure')
    if (end < 0) end = calls.length
    if (first > 0) batch.exclusive.limits.checkGoesOn()
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

function mayLeave({ signature }: BoundCall): boolean {
  return signature.verdict.afterwards !== 'keep'
}

/** Runs functions in one pipeline, under one Sync. */
async function runPipeline(
  batch: RunningBatch,
  before: Statement[],
  calls: BoundCall[],
  first: number,
  bytes: BytesLeft,
): Promise<Rows[]> {
  const { exclusive, parts, budget } = batch
  const { session, sent } = exclusive
  // Plans do not tell which of several calls they are of.
  const explains = batch.calls.length === 1 ? batch.client : undefined
  const statements = [...before]
  const places: number[] = []
  let isPrepared = true
  for (const bound of calls) {
    places.push(statements.length)
    statements.push({
      ...callStatement(bound, parts.settings.maxResultBytes, bytes.budgetIn(budget), explains),
      isPrepared,
    })
    if (bound.signature.verdict.altersFormats) statements.push(RESTORE_FORMATS)
    // The function may deallocate the session's prepared statements.
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
    const rows = await ofCall(first + i, async () => {
      const read = readResult(outcome.value, parts.settings.maxResultBytes)
      // A failed transaction runs no further queries.
      const columns = failedAt < 0 ? columnsOfCall(outcome.value) : undefined
      return bytes.take(await numbersAsText(session, columns, read))
    })
    results.push(rows)
  }
  if (failedAt < 0) return results
  const { reason } = settled[failedAt] as PromiseRejectedResult
  const call = places.indexOf(failedAt)
  if (call < 0) throw reason
  throw new CallFailed(first + call, reason, queries[failedAt]!)
}

async function runProcedure(
  { exclusive, client, database, limit, parts, budget }: RunningBatch,
  bound: BoundCall,
  place: number,
  bytes: BytesLeft,
): Promise<Rows> {
  const { maxResultBytes } = parts.settings
  const options: SendOptions = {
    bound,
    client,
    database,
    limit,
    settings: undefined,
    maxResultBytes,
    mustOnlyRead: false,
    budget: bytes.budgetIn(budget),
  }
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

/**
 * Determines the outcome of the rolled-back batch from the failure of one call.
 * @throws the error of the connection if it was lost; the error of a limit
 */
async function explain(
  { exclusive, database, restrictions }: RunningBatch,
  calls: BoundCall[],
  { place, cause, sent }: CallFailed,
): Promise<RolledBack> {
  const explained = exclusive.limits.explain(cause, 'uncommitted')
  if (explained !== cause) throw placed(explained, place)
  if (endsConnection(cause)) throw cause
  // A function may also raise this error itself, in a transaction that may write.
  const mustWrite = exclusive.onlyReads && isReadOnlyRefusal(cause) && !restrictions?.isReadOnly
  if (mustWrite || !sent) return { place, outcome: { kind: 'refused', error: cause }, mustWrite }
  const bound = calls[place]!
  const outcome = await outcomeOfError({ bound, database }, exclusive.session, sent, cause)
  if (outcome.kind === 'rows') throw cause
  return { place, outcome, mustWrite }
}

function placed(error: unknown, place: number): unknown {
  if (!(error instanceof GatewayError)) return error
  const { code, message, details, status } = error
  return new GatewayError(code, message, { ...details, call: place }, status)
}
