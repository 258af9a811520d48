import { added } from '../../common/added.ts'
import type { PlanSink } from './plans.ts'
import { ServerError } from './server-error.ts'
import type { Prepared } from './statements.ts'

/** SQLSTATE of a session that is terminated, by an administrator or a shutdown. */
const ADMIN_SHUTDOWN = '57P01'

/** A parameter in PostgreSQL's text format; null is SQL NULL. */
export type Value = string | Uint8Array | null

/**
 * Permission to read on. `true`: at once. A promise: when it resolves; the rows wait in PostgreSQL
 * until then. An error: the rows are dropped and the query fails with it; the session continues.
 */
export type Leave = true | Error | Promise<void>

/** A statement with its parameters `$1`, `$2`, … and options. */
export interface Statement {
  text: string
  values: readonly Value[]
  /** Whether the session keeps it prepared; default: true. */
  isPrepared?: boolean
  /** Whether the result includes the columns; default: false. */
  describe?: boolean
  /** Maximum number of rows; default: 0, all rows. */
  maxRows?: number
  /** Asked before more of the answer is read; overrides `SessionOptions.admit`. */
  admit?: ((bytes: number) => Leave) | undefined
  /** Whether `admit` is asked for each row, however short; default: false. */
  admitsEach?: boolean | undefined
  /** Gets the plans of auto_explain that come with the answer. */
  explains?: PlanSink | undefined
}

/** Fields of a row in PostgreSQL's text format, as views of the input; null is SQL NULL. */
export type Row = (Buffer | null)[]

export interface Column {
  name: string
  /** Oid of its type. */
  type: number
}

export interface Result {
  rows: Row[]
  /** Columns, if the statement asked for them; empty for a statement without a result set. */
  columns: Column[] | undefined
  /** Command tag, such as `INSERT 0 1`; '' for an empty statement and while rows are left. */
  tag: string
  /** Whether there may be more rows than `maxRows`. */
  isSuspended: boolean
}

/**
 * Progress of a query, as far as PostgreSQL has reported it; it also stays valid after the end.
 * `queued`: nothing was written to the socket. `sent`: no BindComplete has come. `bound`:
 * BindComplete has come. PostgreSQL may buffer BindComplete while the statement runs: after a lost
 * connection, a statement that is only `sent` may have begun (see `mayHaveBegun`).
 */
export type QueryState = 'queued' | 'sent' | 'bound'

/** The messages of a query. */
export type Request =
  | { kind: 'statement'; statement: Statement; portal: string }
  | { kind: 'fetch'; portal: string; maxRows: number; admit: Statement['admit'] }
  | { kind: 'close'; portal: string }
  | { kind: 'simple'; sql: string }

/** The answers of a query, in the order in which they come. */
export const STEP = { parsed: 0, bound: 1, described: 2, completed: 3, closed: 4, none: 5 } as const

/** Told of the end of a query at once, without the promise and the closures that `result` takes. */
export interface QueryListener {
  /**
   * Called once, at ReadyForQuery or when the query was refused; must not throw.
   * @param failure the error with which `result` would reject; undefined: `answer` is complete
   */
  onSettled(query: Query, failure: Error | undefined): void
}

/** A query of a session: queued, running or settled. */
export class Query {
  state: QueryState = 'queued'
  isSettled = false
  /** Bytes of its answer that were admitted. */
  admittedBytes = 0

  // The members below are for the session only.
  readonly request: Request
  /** The queries under the same Sync; undefined if it is the only one. */
  pipeline: Query[] | undefined
  /** Whether a Sync follows it. */
  isLast = true
  /** Next expected answer, one of STEP. */
  step: number = STEP.none
  /** Prepared statement that it uses. */
  prepared: Prepared | undefined
  answer: Result = emptyResult()
  /** Why rows were dropped; the query fails with it unless PostgreSQL reports an error. */
  refusal: Error | undefined
  /**
   * Whether PostgreSQL terminated the session after the statement had begun and before it was
   * complete. Its transaction is rolled back, except for what the statement itself has committed.
   */
  get wasCutOff(): boolean {
    const isEnded = this.error instanceof ServerError && this.error.code === ADMIN_SHUTDOWN
    return this.state === 'bound' && this.step <= STEP.completed && isEnded
  }

  /** Results of the completed statements of a simple query. */
  results: Result[] | undefined
  /** Error of the query; it settles with it when PostgreSQL is ready for the next query. */
  error: Error | undefined
  readonly #listener: QueryListener | undefined
  #failure: Error | undefined
  #result: Promise<Result> | undefined
  #settleResult: (() => void) | undefined

  constructor(request: Request, listener?: QueryListener) {
    this.request = request
    this.#listener = listener
  }

  /** Settles at ReadyForQuery, so that errors of the commit are included. */
  get result(): Promise<Result> {
    this.#result ??= new Promise((resolve, reject) => {
      const settle = () => (this.#failure ? reject(this.#failure) : resolve(this.#answer))
      if (this.isSettled) settle()
      else this.#settleResult = settle
    })
    // An error that no caller handles must not end the process.
    if (this.#failure) this.#result.catch(() => {})
    return this.#result
  }

  get #answer(): Result {
    return this.results?.at(-1) ?? this.answer
  }

  /**
   * Whether PostgreSQL may have begun to execute the statement. False only if it certainly has not:
   * it was not sent; PostgreSQL answered it with an error or skipped it; or PostgreSQL terminated
   * the session (57P01) before it. Planning comes earlier and evaluates constants: IMMUTABLE
   * functions may have run even if this is false.
   */
  get mayHaveBegun(): boolean {
    if (this.state !== 'sent') return this.state === 'bound'
    if (this.error instanceof ServerError) {
      return this.error.severity !== 'ERROR' && this.error.code !== ADMIN_SHUTDOWN
    }
    return !isSkipped(this.error)
  }

  /** `admit` of its statement. */
  get admit(): Statement['admit'] {
    const { request } = this
    if (request.kind === 'fetch') return request.admit
    return request.kind === 'statement' ? request.statement.admit : undefined
  }

  get explains(): PlanSink | undefined {
    return this.request.kind === 'statement' ? this.request.statement.explains : undefined
  }

  get admitsEach(): boolean {
    return this.request.kind === 'statement' && this.request.statement.admitsEach === true
  }

  addRow(row: Row): void {
    this.answer.rows = added(this.answer.rows, row)
  }

  /** Takes the rows that have come so far; the result will have only the later ones. */
  takeRows(): Row[] {
    const { rows } = this.answer
    this.answer.rows = []
    return rows
  }

  /** Whether a statement of a simple query has ended and no other one has begun. */
  get hasEnded(): boolean {
    return this.results !== undefined && this.answer.rows.length === 0
  }

  /** Ends one statement of a simple query. */
  endStatement(): void {
    this.results ??= []
    this.results.push(this.answer)
    this.answer = emptyResult()
  }

  /** Settles the query: its answer is complete, or `error` is set. */
  settle(): void {
    this.#end(this.error ?? this.refusal)
  }

  reject(error: Error): void {
    this.error ??= error
    this.#end(this.error)
  }

  #end(failure: Error | undefined): void {
    if (this.isSettled) return
    this.isSettled = true
    this.#failure = failure
    if (failure) this.#result?.catch(() => {})
    this.#settleResult?.()
    this.#listener?.onSettled(this, failure)
  }
}

function emptyResult(): Result {
  return { rows: [], columns: undefined, tag: '', isSuspended: false }
}

/** Error code of a statement that PostgreSQL skipped after an error in its pipeline. */
export const SKIPPED = 'SKIPPED'

/** Error code of a query that was withdrawn before it was sent. */
export const DROPPED = 'DROPPED'

/** Returns an error without a stack trace, because skipping is a normal answer. */
export function skipped(): Error {
  return bare('An earlier statement of the pipeline failed', SKIPPED)
}

/** Whether a query failed because PostgreSQL skipped it. */
export function isSkipped(error: Error | undefined): boolean {
  return error !== undefined && 'code' in error && error.code === SKIPPED
}

export function dropped(): Error {
  return bare('The query was withdrawn before it was sent', DROPPED)
}

function bare(message: string, code: string): Error {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  const error = new Error(message)
  Error.stackTraceLimit = limit
  return Object.assign(error, { code })
}
