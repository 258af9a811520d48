import { Admission, type Admit } from './admission.ts'
import { readColumns, readParameter, readRow, readTag } from './fields.ts'
import type { MessageHandler } from './input.ts'
import { ofNotice, takeNotice } from './notices.ts'
import type { PlanSink } from './plans.ts'
import * as protocol from './protocol.ts'
import { type Query, STEP, skipped } from './query.ts'
import { isOfPreparedStatement, readServerError, type ServerError } from './server-error.ts'
import type { Statements } from './statements.ts'

/** Status in ReadyForQuery: `I` idle, `T` in a transaction, `E` in a failed transaction. */
export type TransactionStatus = 'I' | 'T' | 'E'

const STATUSES: Record<number, TransactionStatus> = { 73: 'I', 84: 'T', 69: 'E' }

/** Places of settled queries that are left empty before the others move up. */
const MAX_SETTLED = 1024

/** The session, as far as answers need it. */
export interface AnswersOwner {
  admit: Admit | undefined
  onParameter(name: string, value: string): void
  /** Called for CopyInResponse: the server waits for data that the gateway does not have. */
  refuseCopy(query: Query): void
  /** Called for a FATAL or PANIC error: the server ends the session. */
  onFatal(error: ServerError): void
}

/**
 * Assigns the server's messages to the queries, which are answered in the order of sending. A
 * message that does not fit the query's current step is a protocol violation, so that no query gets
 * the answer of another one.
 */
export class Answers implements MessageHandler {
  transactionStatus: TransactionStatus = 'I'
  readonly #owner: AnswersOwner
  readonly #statements: Statements
  /**
   * Sent queries, from `#first` to `#end`. Places before and behind are empty: a settled query keeps its
   * answer alive, and a busy session always has another one to settle.
   */
  #queries: (Query | undefined)[] = []
  #first = 0
  #end = 0
  /** Index of the query that is being answered. */
  #at = 0
  /**
   * Who gets plans within the open transaction: that of a statement comes when its portal is closed,
   * which may be by a later query.
   */
  #explained: PlanSink | undefined
  /** Whether a query of the first pipeline failed: the server skips the rest up to Sync. */
  #hasFailed = false
  readonly #admission: Admission

  constructor(owner: AnswersOwner, statements: Statements) {
    this.#owner = owner
    this.#statements = statements
    this.#admission = new Admission(owner.admit)
  }

  /** Number of queries without an answer. */
  get pending(): number {
    return this.#end - this.#first
  }

  /** Whether no query was sent after this one. */
  isLast(query: Query): boolean {
    return this.#queries[this.#end - 1] === query
  }

  /** Registers a query that is being sent; its `step` is that of its first answer. */
  expect(query: Query): void {
    this.#queries[this.#end++] = query
  }

  /** Rejects all pending queries, because the session has ended. */
  fail(error: Error): void {
    const queries = this.#queries.slice(this.#first, this.#end)
    this.#queries = []
    this.#first = 0
    this.#at = 0
    this.#end = 0
    for (const query of queries) query!.reject(error)
  }

  announce(type: number, length: number): 'take' | 'drop' | Promise<void> {
    const query = this.#queries[this.#at]
    if (type === protocol.DATA_ROW) return this.#admission.ofRow(query, length)
    if (type === protocol.NOTICE_RESPONSE) return ofNotice(this.#sink(), length)
    return isUnread(type) ? 'drop' : this.#admission.ofOther(query, length)
  }

  take(type: number, bytes: Buffer, start: number, end: number): void {
    switch (type) {
      case protocol.DATA_ROW:
        this.#running().addRow(readRow(bytes, start, end))
        break
      case protocol.COMMAND_COMPLETE:
        this.#onTag(readTag(bytes, start, end))
        break
      case protocol.READY_FOR_QUERY:
        this.#onReady(bytes, start, end)
        break
      case protocol.ROW_DESCRIPTION:
        this.#onColumns(bytes, start, end)
        break
      case protocol.ERROR_RESPONSE:
        this.#onError(readServerError(bytes, start, end))
        break
      case protocol.PARAMETER_STATUS:
        this.#owner.onParameter(...readParameter(bytes, start, end))
        break
      case protocol.NOTICE_RESPONSE:
        takeNotice(this.#sink(), bytes, start, end)
        break
      case protocol.COPY_IN_RESPONSE:
        this.#owner.refuseCopy(this.#running())
        break
      case protocol.COPY_OUT_RESPONSE:
        this.#running()
        break
      default:
        if (end > start) throw protocol.protocolViolation(`a message of the unknown type ${type}`)
        this.#takeEmpty(type)
    }
  }

  /** Handles a message without a body. */
  #takeEmpty(type: number): void {
    switch (type) {
      case protocol.BIND_COMPLETE:
        this.#onBound()
        break
      case protocol.PARSE_COMPLETE:
        this.#onParsed()
        break
      case protocol.NO_DATA:
        this.#onNoData()
        break
      case protocol.EMPTY_QUERY_RESPONSE:
        this.#onTag('')
        break
      case protocol.PORTAL_SUSPENDED:
        this.#running().answer.isSuspended = true
        this.#onTag('')
        break
      case protocol.CLOSE_COMPLETE:
        this.#onClosed()
        break
      default:
        throw protocol.protocolViolation(`a message of the unknown type ${type}`)
    }
  }

  /** Returns the query that is being answered; it must be at this step. */
  #current(step: number): Query {
    const query = this.#queries[this.#at]
    if (!query || this.#hasFailed || query.step !== step) {
      throw protocol.protocolViolation('an answer that no query waits for')
    }
    return query
  }

  /** Returns who gets a plan that comes now. */
  #sink(): PlanSink | undefined {
    return this.#queries[this.#at]?.explains ?? this.#explained
  }

  #running(): Query {
    return this.#current(STEP.completed)
  }

  #onParsed(): void {
    const query = this.#current(STEP.parsed)
    if (query.prepared) query.prepared.isReady = true
    query.step = STEP.bound
  }

  #onNoData(): void {
    const query = this.#current(STEP.described)
    query.answer.columns = []
    query.step = STEP.completed
  }

  #onBound(): void {
    const query = this.#current(STEP.bound)
    query.state = 'bound'
    const { request } = query
    const isDescribed = request.kind === 'statement' && request.statement.describe === true
    query.step = isDescribed ? STEP.described : STEP.completed
    this.#explained = query.explains ?? this.#explained
  }

  #onColumns(bytes: Buffer, start: number, end: number): void {
    const query = this.#queries[this.#at]
    const isSimple = query?.request.kind === 'simple'
    const described = this.#current(isSimple ? STEP.completed : STEP.described)
    described.answer.columns = readColumns(bytes, start, end)
    described.step = STEP.completed
  }

  /** Handles the end of a statement. */
  #onTag(tag: string): void {
    const query = this.#running()
    query.answer.tag = tag
    if (tag === 'DISCARD ALL' || tag === 'DEALLOCATE ALL') this.#statements.clear()
    if (query.request.kind === 'simple') query.endStatement()
    else this.#onDone(query)
  }

  /** Moves on to the next query: everything sent for this one is answered. */
  #onDone(query: Query): void {
    query.step = STEP.none
    if (!query.isLast) this.#at++
  }

  /** Handles CloseComplete of a portal, or of a statement whose Close was sent before any query. */
  #onClosed(): void {
    const query = this.#queries[this.#at]
    if (query?.step === STEP.closed && !this.#hasFailed) this.#onDone(query)
  }

  #onError(error: ServerError): void {
    if (error.severity === 'FATAL' || error.severity === 'PANIC') {
      this.#owner.onFatal(error)
      return
    }
    const query = this.#queries[this.#at]
    if (!query || this.#hasFailed) {
      throw protocol.protocolViolation(`an error that belongs to no query (${error.message})`)
    }
    this.#hasFailed = true
    query.error = error
    this.#forgetUnprepared()
    if (query.prepared && isOfPreparedStatement(error)) this.#statements.forget(query.prepared)
  }

  /** Forgets the statements of the failed pipeline whose Parse failed or was skipped. */
  #forgetUnprepared(): void {
    for (let i = this.#first; i < this.#end; i++) {
      const { prepared, isLast } = this.#queries[i]!
      if (prepared && !prepared.isReady) this.#statements.forget(prepared)
      if (isLast) return
    }
  }

  /** Handles ReadyForQuery, the end of a pipeline: settles all its queries. */
  #onReady(bytes: Buffer, start: number, end: number): void {
    const status = end === start + 1 ? STATUSES[bytes[start]!] : undefined
    const query = this.#queries[this.#at]
    if (!status || !query) throw protocol.protocolViolation('it is ready without a query')
    const isDone = query.isLast && (query.step === STEP.none || query.hasEnded)
    if (!isDone && !this.#hasFailed) {
      throw protocol.protocolViolation('it is ready before a query has ended')
    }
    this.transactionStatus = status
    if (status === 'I') this.#explained = undefined
    this.#admission.restart()
    this.#hasFailed = false
    const failedAt = this.#at
    // Whoever is told of the end of a query may end the session, which rejects the rest.
    while (this.#first < this.#end) {
      const at = this.#first++
      const settled = this.#queries[at]!
      this.#queries[at] = undefined
      if (settled.isLast) {
        this.#at = this.#first
        this.#releaseSettled()
      }
      if (at > failedAt) settled.error = skipped()
      settled.settle()
      if (settled.isLast) return
    }
  }

  /** Uses the places of settled queries again. */
  #releaseSettled(): void {
    if (this.#first < this.#end && this.#first < MAX_SETTLED) return
    if (this.#first < this.#end) this.#queries = this.#queries.slice(this.#first, this.#end)
    this.#end -= this.#first
    this.#first = 0
    this.#at = 0
  }
}

/** Messages that the gateway ignores: notifications, COPY data. */
function isUnread(type: number): boolean {
  return (
    type === protocol.NOTIFICATION_RESPONSE ||
    type === protocol.COPY_DATA ||
    type === protocol.COPY_DONE
  )
}
