import { GatewayError } from '../../errors.ts'
import { endsConnection, fromPostgres, isQueryCanceled } from '../../postgres/errors.ts'
import type { Column, Query, Result, Row, Statement } from '../../postgres/session/query.ts'
import type { BoundCall } from '../bind/parameters.ts'
import type { Timing } from './attempt.ts'
import type { CallParts, CallToRun } from './call-to-run.ts'
import { bindCurrent, isStale, MAX_RENEWALS } from './current.ts'
import { type ExclusiveSession, inExclusiveSession } from './exclusive-session.ts'
import { isReadOnlyRefusal, lostCall } from './failures.ts'
import { expectLeftovers } from './leftovers.ts'
import { type Shape, shapesOf } from './number-shapes.ts'
import { numbersOfRowsAsText } from './numbers-as-text.ts'
import { outcomeOfError } from './outcome-of-error.ts'
import { claimsToOnlyRead, isUndoneByRollback } from './places.ts'
import { BATCH_BYTES, RowFlow } from './row-flow.ts'
import { KEEP_PRESENCE, type Progress, settingsStatement } from './send-call.ts'
import { rowsStatement } from './statement.ts'

/** Receives the rows of a stream. */
export interface RowSink {
  /**
   * Called once with the names of the columns, before the first rows or at the end without rows.
   */
  begin(columns: string[]): void
  /** Writes rows. Resolves when it can take more; no rows are requested from PostgreSQL before. */
  write(rows: Row[]): Promise<void>
}

const FIRST_BATCH_ROWS = 16
const MAX_BATCH_ROWS = 10_000

/**
 * The transaction has no statement_timeout: it would count the time that the client takes to read.
 */
const NO_TIMEOUT: Statement = {
  text: "select pg_catalog.set_config('statement_timeout', '0', true)",
  values: [],
}

/**
 * Runs a call through a cursor and passes its rows to `sink` as they arrive. Neither the gateway
 * nor its connection holds more than one batch. STATEMENT_TIMEOUT_SECS limits the wait for the next
 * rows; the call's own limit covers the whole stream.
 * @throws {GatewayError} as `runCall`; what the sink throws
 */
export async function runStream(
  parts: CallParts,
  call: CallToRun,
  as: 'json' | 'columns',
  sink: RowSink,
): Promise<Timing> {
  let mayWrite = false
  for (let renewals = 0; ; renewals++) {
    const bound = await bindCurrent(parts, call)
    call.entry = parts.usage.counters.of(call.database, bound.signature.name)
    if (bound.signature.kind === 'procedure') throw noStream(bound)
    const mustOnlyRead = call.mustOnlyRead || call.restrictions?.isReadOnly === true
    const isReadOnly = mustOnlyRead || (!mayWrite && claimsToOnlyRead(bound))
    const { retry, ...timing } = await inExclusiveSession(parts.pools, call, async (exclusive) => {
      const stream = new Stream(parts, call, exclusive, bound, sink, isReadOnly)
      return { retry: await stream.run(as) }
    })
    if (!retry) return timing
    const { outcome, error } = retry
    mayWrite ||= outcome === 'must write'
    if (renewals === MAX_RENEWALS) throw fromPostgres(error, call.database)
    if (outcome === 'stale' && !(await isStale(parts, call, bound))) throw error
  }
}

/** Reason to start a stream again. */
interface Retry {
  /** `must write`: the function claims to only read, and attempted a write. */
  outcome: 'stale' | 'not begun' | 'must write'
  error: unknown
}

/** A stream and its transaction. */
class Stream {
  readonly #parts: CallParts
  readonly #call: CallToRun
  readonly #exclusive: ExclusiveSession
  readonly #bound: BoundCall
  readonly #sink: RowSink
  readonly #isReadOnly: boolean
  readonly #flow: RowFlow
  #first: Query | undefined
  /** Shapes of the rows' columns if numbers are wanted as text. */
  #shapes: Shape[] | undefined
  #hasBegun = false

  constructor(
    parts: CallParts,
    call: CallToRun,
    exclusive: ExclusiveSession,
    bound: BoundCall,
    sink: RowSink,
    isReadOnly: boolean,
  ) {
    this.#parts = parts
    this.#call = call
    this.#exclusive = exclusive
    this.#bound = bound
    this.#sink = sink
    this.#isReadOnly = isReadOnly
    this.#flow = new RowFlow(call.budget, (rows) => this.#write(rows))
  }

  /** Runs the stream to its end. Returns a reason if it did not begin and may start again. */
  async run(as: 'json' | 'columns'): Promise<Retry | undefined> {
    const { connection, session, limits } = this.#exclusive
    const { signature } = this.#bound
    const isReadOnly = this.#isReadOnly
    this.#exclusive.onlyReads =
      this.#call.mustOnlyRead || (isReadOnly && claimsToOnlyRead(this.#bound))
    this.#exclusive.mayRepeat = isUndoneByRollback(this.#bound)
    this.#exclusive.isUncommitted = true
    limits.transactionOf = 'function'
    expectLeftovers(connection, session, signature)
    const { settings } = this.#call
    const begin = { text: isReadOnly ? 'begin read only' : 'begin', values: [] }
    const opening: Statement[] = [begin, NO_TIMEOUT]
    if (signature.verdict.afterwards !== 'keep') opening.push(KEEP_PRESENCE)
    if (settings) opening.push(settingsStatement(settings, true))
    // CSV is text anyway.
    const isAsText = this.#bound.numbersAsText && as === 'json'
    const opened = session.pipeline(opening)
    const cursor = session.open({
      ...rowsStatement(this.#bound, as),
      explains: this.#call.client,
      describe: true,
      // The columns must be known before rows are written while others arrive.
      maxRows: isAsText ? 1 : FIRST_BATCH_ROWS,
      admit: (bytes) => this.#flow.admit(bytes),
    })
    this.#first = cursor.first
    this.#exclusive.sent.push(cursor.first)
    session.flush()
    try {
      await Promise.all(opened.map(({ result }) => result))
      let query = cursor.first
      for (;;) {
        const batch = await this.#within(query)
        limits.checkGoesOn()
        // The first column has the row as JSON; the columns of the function follow.
        if (isAsText) this.#shapes ??= await shapesOf(session, this.#columns().slice(1))
        this.#begin()
        await this.#flow.deliver(batch.rows)
        if (!batch.isSuspended) break
        limits.checkGoesOn()
        query = cursor.next(nextBatch(batch.rows))
        session.flush()
      }
      limits.checkGoesOn()
      this.#exclusive.isUncommitted = false
      const commit = session.run({ text: 'commit', values: [] })
      session.flush()
      await commit.result
      return undefined
    } catch (error) {
      cursor.first.result.catch(() => {})
      await session.simple('rollback').catch(() => {})
      // What the caller writes next must follow the rows being written.
      await this.#flow.end()
      return this.#failed(error, cursor.first)
    }
  }

  async #write(rows: Row[]): Promise<void> {
    this.#begin()
    this.#exclusive.limits.checkGoesOn()
    await this.#sink.write(this.#shapes ? await numbersOfRowsAsText(this.#shapes, rows) : rows)
  }

  #begin(): void {
    if (this.#hasBegun) return
    this.#hasBegun = true
    this.#sink.begin(this.#columns().map(({ name }) => name))
  }

  /** Returns the columns, which arrive before the first row. */
  #columns(): Column[] {
    return this.#first?.answer.columns ?? []
  }

  /**
   * Waits for the next rows. Cancels the query if they do not arrive within the statement timeout.
   */
  async #within(query: Query): Promise<Result> {
    const flow = this.#flow
    flow.follow(query)
    const serverMs = this.#parts.settings.statementTimeoutMs
    const ownMs = this.#call.restrictions?.statementTimeoutMs ?? serverMs
    const timeoutMs = Math.min(ownMs, serverMs)
    const name = ownMs < serverMs ? 'statement_timeout_ms of the tenant' : 'STATEMENT_TIMEOUT_SECS'
    const { connection, database } = this.#exclusive
    let isSettled = false
    let isTimeUp = false
    const timer = setTimeout(() => {
      if (flow.isHeldUp) return
      isTimeUp = true
      connection.cancelUntil(() => isSettled)
    }, timeoutMs)
    flow.onResumed = () => timer.refresh()
    try {
      return await query.result
    } catch (error) {
      if (!isTimeUp || !isQueryCanceled(error)) throw error
      throw new GatewayError(
        'query_timeout',
        `No further rows came within ${timeoutMs / 1000} s (${name})`,
        { database },
      )
    } finally {
      isSettled = true
      flow.onResumed = undefined
      clearTimeout(timer)
    }
  }

  /** Determines whether the stream may start again. Throws if rows have been written already. */
  async #failed(error: unknown, first: Progress): Promise<Retry> {
    const { limits, session, database, isUncommitted } = this.#exclusive
    const left = isUncommitted ? 'uncommitted' : 'anything'
    const explained = withoutRoom(limits.explain(error, left))
    if (this.#hasBegun) throw lostCall(explained, database, !isUncommitted, isUncommitted)
    if (explained !== error || error instanceof GatewayError) throw explained
    // The exclusive session decides whether the work may start on another connection.
    if (endsConnection(error)) throw error
    const { mustOnlyRead, restrictions } = this.#call
    const mayWrite = this.#isReadOnly && !mustOnlyRead && !restrictions?.isReadOnly
    if (mayWrite && isReadOnlyRefusal(error)) return { outcome: 'must write', error }
    const outcome = await outcomeOfError({ bound: this.#bound, database }, session, first, error)
    if (outcome.kind === 'stale' || outcome.kind === 'not begun') {
      return { outcome: outcome.kind, error: outcome.error }
    }
    throw outcome.kind === 'refused' ? outcome.error : error
  }
}

/**
 * Says that the function was rolled back if the rows exceeded the memory budget, which ends the
 * session and its transaction.
 */
function withoutRoom(error: unknown): unknown {
  if (!(error instanceof GatewayError) || error.code !== 'pool_exhausted') return error
  const { code, message, details, status } = error
  const told = `${message}; the function was rolled back`
  return new GatewayError(code, told, { ...details, may_have_run: false }, status)
}

/** Returns the bytes of the values of rows. */
export function bytesOf(rows: Row[]): number {
  let bytes = 0
  for (const row of rows) for (const value of row) bytes += value?.length ?? 0
  return bytes
}

function nextBatch(rows: Row[]): number {
  const fitting = Math.floor((BATCH_BYTES * rows.length) / (1 + bytesOf(rows)))
  return Math.max(1, Math.min(fitting, 4 * rows.length, MAX_BATCH_ROWS))
}

function noStream({ signature }: BoundCall): GatewayError {
  return new GatewayError(
    'invalid_request',
    `${signature.text} is a procedure, which has no rows to stream: ask for application/json`,
  )
}
