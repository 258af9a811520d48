import { GatewayError } from '../errors.ts'
import type { Gateway } from '../gateway.ts'
import { fromPostgres, isQueryCanceled } from '../postgres/errors.ts'
import type { Lease } from '../postgres/lease.ts'
import { answers } from '../postgres/pipeline.ts'
import type { Client } from '../postgres/pools.ts'
import { alone, type Timing } from './alone.ts'
import { runCurrent } from './current.ts'
import { changed, explain } from './explain.ts'
import { type BoundCall, bindCall } from './parameters.ts'
import { isReplacedError } from './replaced.ts'
import type { CallRequest } from './request.ts'
import { deadlineOf } from './run/deadline.ts'
import { enter } from './session-state.ts'
import { rowsSql } from './sql.ts'
import { begin } from './transaction.ts'
import type { Watch } from './watch.ts'

/** One row as PostgreSQL wrote it, a text for each column; null is SQL NULL. */
export type Row = (Buffer | null)[]

/** Takes the rows of a stream. */
export interface RowSink {
  /** Called once, when the first rows are there, or that there are none: with the columns' names. */
  begin(columns: string[]): void
  /** Resolves when it can take more: PostgreSQL is not asked for any before. */
  write(rows: Row[]): Promise<void>
}

/** So many bytes at once are asked of PostgreSQL, as far as the rows before tell. */
const BATCH_BYTES = 128 * 1024
const FIRST_BATCH_ROWS = 16
const MAX_BATCH_ROWS = 10_000

/** What postgres.js gives a cursor. Its types do not know `raw` ones. */
type Batch = Row[] & { columns?: { name: string }[] | null }

/**
 * Runs a call and hands over its rows as they come, through a cursor: neither the gateway nor its
 * connection holds more than one batch. STATEMENT_TIMEOUT_SECS is how long PostgreSQL may take for
 * the next rows, `timeoutMs` for all of them. It waits for its turn first: streams hold half of a
 * database's connections at most.
 * @throws {GatewayError} as `callFunction`; what a sink throws
 */
export async function streamCall(
  gateway: Gateway,
  client: Client,
  database: string,
  call: CallRequest,
  as: 'json' | 'columns',
  sink: RowSink,
): Promise<Timing> {
  const askedAt = performance.now()
  const release = await gateway.streams.take(database, client, deadlineOf(call))
  const left = gateway.config.poolWaitTimeoutMs - (performance.now() - askedAt)
  try {
    return await stream(gateway, client, database, call, as, sink, Math.max(0, left))
  } finally {
    release()
  }
}

/** `waitMs`: how long it may wait for its connection. */
function stream(
  gateway: Gateway,
  client: Client,
  database: string,
  { name, params, session, timeoutMs }: CallRequest,
  as: 'json' | 'columns',
  sink: RowSink,
  waitMs: number,
): Promise<Timing> {
  const work = async (lease: Lease, watch: Watch) => {
    let hasBegun = false
    const once: RowSink = {
      begin(columns) {
        if (hasBegun) return
        hasBegun = true
        sink.begin(columns)
      },
      write: (rows) => sink.write(rows),
    }
    await runCurrent(gateway.signatures, lease.connection, name, async (known) => {
      const call = bindCall(name, known, params)
      if (call.signature.kind === 'procedure') throw noStream(call)
      watch.isReadOnly = call.signature.isReadOnly
      enter(lease.connection, call.signature)
      const sent = begin(lease.sql, { isReadOnly: call.signature.isReadOnly, session })
      try {
        sent.push(lease.sql.unsafe('set local statement_timeout = 0').execute())
        await answers(sent)
        await pump(gateway, lease, watch, call, as, once)
        await lease.sql.unsafe('commit')
      } catch (error) {
        await lease.sql.unsafe('rollback').catch(() => {})
        if (isReplacedError(error)) throw changed(call)
        // With rows on their way, nothing is tried again.
        throw hasBegun
          ? fromPostgres(watch.explain(error), database)
          : await explain(lease.sql, call, error)
      }
    })
    return {}
  }
  return alone(gateway, client, database, timeoutMs, work, undefined, waitMs)
}

async function pump(
  { config }: Gateway,
  lease: Lease,
  watch: Watch,
  call: BoundCall,
  as: 'json' | 'columns',
  sink: RowSink,
): Promise<void> {
  const limit = new RowLimit(lease, config.statementTimeoutMs)
  const values = call.parameters.map(({ value }) => value)
  const query = lease.sql.unsafe(rowsSql(call, as), values, { prepare: false })
  let last: Promise<void> | undefined
  const take = async (rows: Batch) => {
    limit.stop()
    sink.begin(columnsOf(rows))
    // postgres.js reads it when it asks for the next ones.
    Object.assign(query, { cursorRows: nextBatch(rows) })
    await watch.whileServerWaits(sink.write(rows))
    limit.start(query)
  }
  query.raw()
  query.cursor(FIRST_BATCH_ROWS, (rows: unknown) => {
    last = take(rows as Batch)
    // postgres.js does not wait for those behind which there are no more.
    last.catch(() => {})
    return last
  })
  try {
    watch.over([query])
    limit.start(query)
    const end = await query
    await last
    // Without rows, nobody has begun it.
    sink.begin(columnsOf(end as unknown as Batch))
  } catch (error) {
    throw limit.explain(error)
  } finally {
    limit.stop()
  }
}

/** Those of the first batch; the others do not tell. */
function columnsOf({ columns }: Batch): string[] {
  return (columns ?? []).map(({ name }) => name)
}

function nextBatch(rows: Row[]): number {
  let bytes = 1
  for (const row of rows) for (const value of row) bytes += value?.length ?? 0
  const fitting = Math.floor((BATCH_BYTES * rows.length) / bytes)
  return Math.max(1, Math.min(fitting, 4 * rows.length, MAX_BATCH_ROWS))
}

/** How long PostgreSQL may take for the next rows. */
class RowLimit {
  readonly #lease: Lease
  readonly #ms: number
  #timer: NodeJS.Timeout | undefined
  #isTimeUp = false

  constructor(lease: Lease, ms: number) {
    this.#lease = lease
    this.#ms = ms
  }

  start(query: Promise<unknown>): void {
    this.#timer = setTimeout(() => {
      this.#isTimeUp = true
      this.#lease.connection.cancel([query])
    }, this.#ms)
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  explain(error: unknown): unknown {
    if (!this.#isTimeUp || !isQueryCanceled(error)) return error
    return new GatewayError(
      'query_timeout',
      `No further rows came within ${this.#ms / 1000} s (STATEMENT_TIMEOUT_SECS)`,
      { database: this.#lease.connection.database },
    )
  }
}

function noStream({ signature }: BoundCall): GatewayError {
  return new GatewayError(
    'invalid_request',
    `${signature.text} is a procedure, which has no rows to stream: ask for application/json`,
  )
}
