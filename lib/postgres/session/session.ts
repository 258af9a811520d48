import type { Duplex } from 'node:stream'
import type { Admit } from './admission.ts'
import { Answers, type TransactionStatus } from './answers.ts'
import { Cursor } from './cursor.ts'
import { Input } from './input.ts'
import { Output } from './output.ts'
import { dropped, Query, type Request, type Result, type Statement } from './query.ts'
import { Statements } from './statements.ts'
import { checkStatement, checkText, writeQuery } from './write.ts'

const CLOSE_TIMEOUT_MS = 5000

export interface SessionOptions {
  /** How many statements stay prepared; 256 unless given. */
  maxStatements?: number
  /**
   * Asked for every 64 KiB of an answer, and with the length of a longer message before its body
   * is read: see `Leave`.
   */
  admit?: Admit
  /** The server reports a parameter of the session (ParameterStatus). */
  onParameter?: (name: string, value: string) => void
  /** Called once, when the socket is gone, with the reason; CONNECTION_CLOSED is `close`'s. */
  onClosed?: (reason: Error) => void
}

/**
 * A session that speaks the extended query protocol (PostgreSQL manual, "Message Flow") on a socket
 * that is logged in and at ReadyForQuery. Queries are sent in the order in which they come, those of
 * one turn of the event loop in one write, without waiting for answers. Nothing is ever sent twice.
 */
export class Session {
  readonly #socket: Duplex
  readonly #statements: Statements
  readonly #answers: Answers
  readonly #input: Input
  readonly #output = new Output()
  #queued: Query[] = []
  #isFlushPlanned = false
  #cursors = 0
  /** Why no further query is taken. */
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

  /** What the last ReadyForQuery said. */
  get transactionStatus(): TransactionStatus {
    return this.#answers.transactionStatus
  }

  /** How many queries are queued, or sent and not answered. */
  get pending(): number {
    return this.#queued.length + this.#answers.pending
  }

  /** Whether PostgreSQL has to say something next: not while its answers wait for leave to be read. */
  get isWaiting(): boolean {
    return this.pending > 0 && !this.#input.isWaiting
  }

  /** How many statements are prepared. */
  get prepared(): number {
    return this.#statements.size
  }

  /** Prepares each statement anew at its next use, since SQL has deallocated them. */
  forgetStatements(): void {
    this.#statements.clear()
  }

  /** True once no further query is taken. */
  get isClosed(): boolean {
    return this.#refusal !== undefined
  }

  /**
   * Runs a statement under a Sync of its own: outside of a transaction it is one. The result rejects
   * with ServerError, or with the error of the connection.
   */
  run(statement: Statement): Query {
    return this.#send({ kind: 'statement', statement, portal: '' })
  }

  /**
   * Runs statements under one Sync: outside of a transaction they are one together. The first error
   * skips the statements behind it, which reject with code SKIPPED; those before it resolve, though
   * what they did is rolled back. An error of the commit is the last one's.
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
   * Runs a text of any number of statements without parameters (the simple query protocol): one
   * result for each.
   */
  simple(sql: string): Promise<Result[]> {
    const query = this.#send({ kind: 'simple', sql })
    const results = query.result.then(() => query.results ?? [])
    results.catch(() => {})
    return results
  }

  /** Runs a statement and gives its rows a few at a time; within a transaction only. */
  open(statement: Statement): Cursor {
    const portal = `gateway_${++this.#cursors}`
    return new Cursor(statement, portal, (request) => this.#send(request))
  }

  /**
   * Takes back a query that was not handed to the socket yet, with the other queries of its pipeline:
   * they reject with code DROPPED.
   * @returns false where it is too late
   */
  drop(query: Query): boolean {
    if (query.state !== 'queued' || !this.#queued.includes(query)) return false
    const taken = query.pipeline ?? [query]
    this.#queued = this.#queued.filter((queued) => !taken.includes(queued))
    for (const each of taken) each.reject(dropped())
    return true
  }

  /** Writes all that is queued now, rather than at the end of the turn of the event loop. */
  flush(): void {
    if (this.#isGone || this.#queued.length === 0) return
    const queries = this.#queued
    this.#queued = []
    this.#output.renew(this.#socket.writableLength === 0)
    try {
      let isFirst = true
      for (const query of queries) {
        // Within a pipeline that fails, a Close would be skipped.
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
   * Ends the session once what is queued and sent has been answered; after 5 s it is cut. Takes no
   * further query.
   */
  async close(): Promise<void> {
    if (!this.#refusal) {
      this.flush()
      this.#refusal = connectionClosed()
      this.#output.terminate()
      // Not `end`: a server that sees the gateway's half closed may cancel what runs.
      this.#socket.write(this.#output.take())
    }
    const timer = setTimeout(() => this.destroy(), CLOSE_TIMEOUT_MS)
    await this.#closed
    clearTimeout(timer)
  }

  /** Cuts the connection: all queries that are not settled reject with the error. */
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

  #send(request: Request): Query {
    if (request.kind === 'statement') checkStatement(request.statement)
    else if (request.kind === 'simple') checkText(request.sql)
    const query = new Query(request)
    this.#queue(query)
    return query
  }

  #queue(query: Query): void {
    if (this.#refusal) {
      query.reject(this.#refusal)
      return
    }
    this.#queued.push(query)
    if (this.#isFlushPlanned) return
    this.#isFlushPlanned = true
    setImmediate(() => {
      this.#isFlushPlanned = false
      this.flush()
    })
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
   * A COPY from the client fails. PostgreSQL has thrown away the Sync behind it, and takes anything
   * else that was sent for data.
   */
  #refuseCopy(query: Query): void {
    const message = 'COPY from the client is not possible here'
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
