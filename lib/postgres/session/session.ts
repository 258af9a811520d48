import type { Duplex } from 'node:stream'
import { added } from '../../common/added.ts'
import type { Admit } from './admission.ts'
import { Answers, type TransactionStatus } from './answers.ts'
import { Cursor } from './cursor.ts'
import { Input } from './input.ts'
import { Output } from './output.ts'
import {
  dropped,
  Query,
  type QueryListener,
  type Request,
  type Result,
  STEP,
  type Statement,
} from './query.ts'
import { Statements } from './statements.ts'
import { checkStatement, checkText, writeQuery } from './write.ts'

const CLOSE_TIMEOUT_MS = 5000

export interface SessionOptions {
  /** Maximum number of prepared statements; default: 256. */
  maxStatements?: number
  /**
   * Asked every 64 KiB of an answer, and before a longer message is read: see `Leave`. A
   * statement's own `admit` overrides it.
   */
  admit?: Admit
  /** Called for each ParameterStatus. */
  onParameter?: (name: string, value: string) => void
  /** Called once when the socket is closed, with the reason; CONNECTION_CLOSED after `close`. */
  onClosed?: (reason: Error) => void
}

/**
 * A session of the extended query protocol (PostgreSQL manual, "Message Flow") on a logged-in
 * socket that is at ReadyForQuery. Queries are pipelined in the order of the calls; those of one
 * turn of the event loop go out in one write. Nothing is ever sent twice.
 */
export class Session {
  readonly #socket: Duplex
  readonly #statements: Statements
  readonly #answers: Answers
  readonly #input: Input
  readonly #output = new Output()
  #queued: Query[] = []
  #isFlushPlanned = false
  readonly #flushPlanned = () => {
    this.#isFlushPlanned = false
    this.flush()
  }
  #cursors = 0
  /** Error of further queries; undefined while the session takes queries. */
  #refusal: Error | undefined
  #isGone = false
  #closed: Promise<void>

  constructor(socket: Duplex, options: SessionOptions = {}) {
    this.#socket = socket
    this.#statements = new Statements(options.maxStatements)
    const owner = {
      admit: options.admit,
      onParameter: (name: string, value: string) => options.onParameter?.(name, value),
      refuseCopy: (query: Query) => this.#refuseCopy(query),
      onFatal: (error: Error) => this.destroy(error),
    }
    this.#answers = new Answers(owner, this.#statements)
    this.#input = new Input(this.#answers)
    this.#closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.destroy(connectionLost())
        resolve()
        options.onClosed?.(this.#refusal!)
      })
    })
    socket.on('error', (error) => this.destroy(error))
    socket.on('end', () => this.destroy(connectionLost()))
    socket.on('data', (chunk) => this.#onData(chunk as Buffer))
    socket.resume()
  }

  /** Transaction status in the last ReadyForQuery. */
  get transactionStatus(): TransactionStatus {
    return this.#answers.transactionStatus
  }

  /** Number of queries that are queued or not answered. */
  get pending(): number {
    return this.#queued.length + this.#answers.pending
  }

  /** Whether PostgreSQL's answer is awaited; false while answers wait for permission to be read. */
  get isWaiting(): boolean {
    return this.pending > 0 && !this.#input.isWaiting
  }

  /** Number of prepared statements. */
  get prepared(): number {
    return this.#statements.size
  }

  /** Forgets the prepared statements, which SQL has deallocated; the next use prepares each. */
  forgetStatements(): void {
    this.#statements.clear()
  }

  /** Whether it refuses further queries. */
  get isClosed(): boolean {
    return this.#refusal !== undefined
  }

  /**
   * Runs a statement with its own Sync: outside a transaction block, as its own transaction. The
   * result rejects with ServerError, or with the error of the connection.
   * @param listener told of the end, maybe before this returns
   */
  run(statement: Statement, listener?: QueryListener): Query {
    return this.#send({ kind: 'statement', statement, portal: '' }, listener)
  }

  /**
   * Runs statements under one Sync: outside a transaction block, as one transaction. After the
   * first error the later statements are skipped and reject with code SKIPPED; the earlier ones
   * resolve, although their work is rolled back. An error of the commit rejects the last one.
   */
  pipeline(statements: readonly Statement[]): Query[] {
    const queries = statements.map((statement) => {
      checkStatement(statement)
      return new Query({ kind: 'statement', statement, portal: '' })
    })
    for (const query of queries) {
      query.pipeline = queries
      query.isLast = query === queries.at(-1)
      this.#queue(query)
    }
    return queries
  }

  /**
   * Runs a text of any number of statements without parameters by the simple query protocol.
   * @returns one result for each statement
   */
  simple(sql: string): Promise<Result[]> {
    const query = this.#send({ kind: 'simple', sql })
    const results = query.result.then(() => query.results ?? [])
    results.catch(() => {})
    return results
  }

  /** Awaits the answer to a text that went out with the log-in (see `logIn`). */
  answerToLogIn(sql: string): Promise<Result[]> {
    const query = new Query({ kind: 'simple', sql })
    query.state = 'bound'
    query.step = STEP.completed
    this.#answers.expect(query)
    return query.result.then(() => query.results ?? [])
  }

  /** Opens a cursor for a statement; only within a transaction. */
  open(statement: Statement): Cursor {
    const portal = `gateway_${++this.#cursors}`
    return new Cursor(statement, portal, (request) => this.#send(request))
  }

  /**
   * Withdraws a query that was not written to the socket yet, and the other queries of its
   * pipeline: they reject with code DROPPED.
   * @returns false if it is too late
   */
  drop(query: Query): boolean {
    if (query.state !== 'queued' || !this.#queued.includes(query)) return false
    const taken = query.pipeline ?? [query]
    this.#queued = this.#queued.filter((queued) => !taken.includes(queued))
    for (const each of taken) each.reject(dropped())
    return true
  }

  /** Writes all queued queries now instead of at the end of the turn of the event loop. */
  flush(): void {
    if (this.#isGone || this.#queued.length === 0) return
    const queries = this.#queued
    this.#queued = []
    this.#output.renew(this.#socket.writableLength === 0)
    try {
      let isFirst = true
      for (const query of queries) {
        // Only before a pipeline: within one that fails, Close would be skipped.
        if (isFirst) this.#closeForgotten()
        this.#answers.expect(query)
        writeQuery(this.#output, this.#statements, query)
        isFirst = query.isLast
      }
      this.#socket.write(this.#output.take())
    } catch (error) {
      this.destroy(error as Error)
      for (const query of queries) if (!query.isSettled) query.reject(error as Error)
    }
  }

  /**
   * Refuses further queries, sends Terminate behind the pending ones, and resolves when the socket
   * is closed, by force after 5 s.
   */
  async close(): Promise<void> {
    if (!this.#refusal) {
      this.flush()
      this.#refusal = connectionClosed()
      this.#output.terminate()
      // Not `socket.end()`: a server that sees a half-closed socket may cancel the running query.
      this.#socket.write(this.#output.take())
    }
    const timer = setTimeout(() => this.destroy(), CLOSE_TIMEOUT_MS)
    await this.#closed
    clearTimeout(timer)
  }

  /** Closes the socket by force: all pending queries reject with the error. */
  destroy(error: Error = connectionClosed()): void {
    if (this.#isGone) return
    this.#isGone = true
    this.#refusal ??= error
    this.#input.stop()
    this.#socket.destroy()
    const queued = this.#queued
    this.#queued = []
    this.#answers.fail(error)
    for (const query of queued) query.reject(error)
  }

  #send(request: Request, listener?: QueryListener): Query {
    if (request.kind === 'statement') checkStatement(request.statement)
    else if (request.kind === 'simple') checkText(request.sql)
    const query = new Query(request, listener)
    this.#queue(query)
    return query
  }

  #queue(query: Query): void {
    if (this.#refusal) {
      query.reject(this.#refusal)
      return
    }
    this.#queued = added(this.#queued, query)
    if (this.#isFlushPlanned) return
    this.#isFlushPlanned = true
    setImmediate(this.#flushPlanned)
  }

  #closeForgotten(): void {
    for (const name of this.#statements.takeClosing()) this.#output.closeStatement(name)
  }

  #onData(chunk: Buffer): void {
    try {
      const waiting = this.#input.push(chunk)
      if (!waiting) return
      this.#socket.pause()
      waiting.then(
        () => this.#socket.resume(),
        (error) => this.destroy(error),
      )
    } catch (error) {
      this.destroy(error as Error)
    }
  }

  /**
   * Refuses COPY FROM STDIN. PostgreSQL has discarded the Sync after it and would take any query
   * sent after it for data, so that a pipelined session must end.
   */
  #refuseCopy(query: Query): void {
    const message = 'COPY FROM STDIN is not possible in a call'
    if (!this.#answers.isLast(query)) {
      this.destroy(Object.assign(new Error(message), { code: 'COPY_REFUSED' }))
      return
    }
    this.#output.renew(this.#socket.writableLength === 0)
    this.#output.copyFail(message)
    if (query.request.kind !== 'simple') this.#output.sync()
    this.#socket.write(this.#output.take())
  }
}

function connectionClosed(): Error {
  return Object.assign(new Error('The connection is closed'), { code: 'CONNECTION_CLOSED' })
}

function connectionLost(): Error {
  return Object.assign(new Error('The server closed the connection'), { code: 'ECONNRESET' })
}
