import { Admission, type Admit } from './admission.ts'
import { readColumns, readParameter, readRow, readTag } from './fields.ts'
import type { MessageHandler } from './input.ts'
import * as protocol from './protocol.ts'
import { type Query, STEP, skipped } from './query.ts'
import { readServerError, type ServerError } from './server-error.ts'
import type { Statements } from './statements.ts'

/** A statement that does not exist: something deallocated it. */
const INVALID_SQL_STATEMENT_NAME = '26000'
/** "cached plan must not change result type", from the routine RevalidateCachedQuery. */
const FEATURE_NOT_SUPPORTED = '0A000'
const REVALIDATE_CACHED_QUERY = 'RevalidateCachedQuery'

/** `I`, `T`, `E` of ReadyForQuery: idle, in a transaction, in one that has failed. */
export type TransactionStatus = 'I' | 'T' | 'E'

const STATUSES: Record<number, TransactionStatus> = { 73: 'I', 84: 'T', 69: 'E' }

/** What the session does about answers. */
export interface AnswersOwner {
  admit: Admit | undefined
  onParameter(name: string, value: string): void
  /** The server waits for data that the gateway does not have. */
  refuseCopy(query: Query): void
  /** The server ends the session. */
  onFatal(error: ServerError): void
}

/**
 * Gives the server's messages to the queries that they answer, in the order in which these were
 * sent. A message that does not fit the step which a query is at is a violation of the protocol,
 * so that no query ever has what belongs to another.
 */
export class Answers implements MessageHandler {
  transactionStatus: TransactionStatus = 'I'
  readonly #owner: AnswersOwner
  readonly #statements: Statements
  /** The queries that were sent; those before `#first` are settled. */
  #queries: Query[] = []
  #first = 0
  /** Index of the query whose messages come. */
  #at = 0
  /** A query of the first pipeline failed: nothing comes until ReadyForQuery. */
  #hasFailed = false
  readonly #admission: Admission

  constructor(owner: AnswersOwner, statements: Statements) {
    this.#owner = owner
    this.#statements = statements
    this.#admission = new Admission(owner.admit)
  }

  /** How many queries wait for their answers. */
  get pending(): number {
    return this.#queries.length - this.#first
  }

  /** Whether nothing was sent behind this query. */
  isLast(query: Query): boolean {
    return this.#queries.at(-1) === query
  }

  /** A query that is sent; its `step` is the first that it waits for. */
  expect(query: Query): void {
    this.#queries.push(query)
  }

  /** The session is gone: no query gets an answer. */
  fail(error: Error): void {
    const queries = this.#queries.slice(this.#first)
    this.#queries = []
    this.#first = 0
    this.#at = 0
    for (const query of queries) query.reject(error)
  }

  announce(type: number, length: number): 'take' | 'drop' | Promise<void> {
    const query = this.#queries[this.#at]
    if (type === protocol.DATA_ROW) return this.#admission.ofRow(query, length)
    return isUnread(type) ? 'drop' : this.#admission.ofOther(query, length)
  }

  take(type: number, bytes: Buffer, start: number, end: number): void {
    switch (type) {
      case protocol.DATA_ROW:
        this.#running().answer.rows.push(readRow(bytes, start, end))
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

  /** A message without a body. */
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

  /** The query whose messages come, which has to be at this step. */
  #current(step: number): Query {
    const query = this.#queries[this.#at]
    if (!query || this.#hasFailed || query.step !== step) {
      throw protocol.protocolViolation('an answer that no query waits for')
    }
    return query
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
  }

  #onColumns(bytes: Buffer, start: number, end: number): void {
    const query = this.#queries[this.#at]
    const isSimple = query?.request.kind === 'simple'
    const described = this.#current(isSimple ? STEP.completed : STEP.described)
    described.answer.columns = readColumns(bytes, start, end)
    described.step = STEP.completed
  }

  /** The end of a statement. */
  #onTag(tag: string): void {
    const query = this.#running()
    query.answer.tag = tag
    if (tag === 'DISCARD ALL' || tag === 'DEALLOCATE ALL') this.#statements.clear()
    if (query.request.kind === 'simple') query.endStatement()
    else this.#onDone(query)
  }

  /** The end of what was sent for one query. */
  #onDone(query: Query): void {
    query.step = STEP.none
    if (!query.isLast) this.#at++
  }

  /** Of a portal; or of a statement, in front of any query. */
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

  /** Statements of the failed pipeline whose Parse failed or was skipped. */
  #forgetUnprepared(): void {
    for (let i = this.#first; i < this.#queries.length; i++) {
      const { prepared, isLast } = this.#queries[i]!
      if (prepared && !prepared.isReady) this.#statements.forget(prepared)
      if (isLast) return
    }
  }

  /** The end of a pipeline: all its queries settle. */
  #onReady(bytes: Buffer, start: number, end: number): void {
    const status = end === start + 1 ? STATUSES[bytes[start]!] : undefined
    const query = this.#queries[this.#at]
    if (!status || !query) throw protocol.protocolViolation('it is ready without a query')
    const isDone = query.isLast && (query.step === STEP.none || query.hasEnded)
    if (!isDone && !this.#hasFailed) {
      throw protocol.protocolViolation('it is ready before a query has ended')
    }
    this.transactionStatus = status
    this.#admission.restart()
    this.#hasFailed = false
    const failedAt = this.#at
    let at = this.#first
    let settled: Query
    do {
      settled = this.#queries[at]!
      if (at > failedAt) settled.error = skipped()
      settled.settle()
      at++
    } while (!settled.isLast)
    this.#first = at
    this.#at = at
    this.#releaseSettled()
  }

  #releaseSettled(): void {
    if (this.#first < this.#queries.length && this.#first < 1024) return
    this.#queries = this.#first === this.#queries.length ? [] : this.#queries.slice(this.#first)
    this.#first = 0
    this.#at = 0
  }
}

/** What nothing is done about: notices, notifications, the data of a COPY. */
function isUnread(type: number): boolean {
  return (
    type === protocol.NOTICE_RESPONSE ||
    type === protocol.NOTIFICATION_RESPONSE ||
    type === protocol.COPY_DATA ||
    type === protocol.COPY_DONE
  )
}

/** The prepared statement itself is of no use any more; the next use prepares it anew. */
function isOfPreparedStatement({ code, routine }: ServerError): boolean {
  return (
    code === INVALID_SQL_STATEMENT_NAME ||
    (code === FEATURE_NOT_SUPPORTED && routine === REVALIDATE_CACHED_QUERY)
  )
}
