import { ServerError } from './server-error.ts'
import type { Prepared } from './statements.ts'

/** PostgreSQL stops, or ends this session; it says so behind what it has answered. */
const ADMIN_SHUTDOWN = '57P01'

/** A parameter in PostgreSQL's text format; null is SQL NULL. */
export type Value = string | Uint8Array | null

/**
 * Whether an answer may grow: at once, or when the promise resolves, until when it waits in
 * PostgreSQL. With an error it is not read, and that is the error of its query; the session goes on.
 */
export type Leave = true | Error | Promise<void>

/** A statement, its parameters `$1`, `$2`, … and what is wanted of it. */
export interface Statement {
  text: string
  values: readonly Value[]
  /** Whether the session keeps it prepared; yes unless given. */
  isPrepared?: boolean
  /** Whether the result has its columns; no unless given. */
  describe?: boolean
  /** At most so many rows; 0, which is the default, are all. */
  maxRows?: number
  /** Asked before more of its answer is read, as `SessionOptions.admit`, in whose place it is. */
  admit?: ((bytes: number) => Leave) | undefined
  /** Whether `admit` is asked for each row, however short; no unless given. */
  admitsEach?: boolean | undefined
}

/** The fields of a row in PostgreSQL's text format, as ranges of what was read; null is SQL NULL. */
export type Row = (Buffer | null)[]

export interface Column {
  name: string
  /** The oid of its type. */
  type: number
}

export interface Result {
  rows: Row[]
  /** Only where they were asked for; empty for a statement that gives no rows. */
  columns: Column[] | undefined
  /** The command tag, such as `INSERT 0 1`; empty for an empty statement, or where rows are left. */
  tag: string
  /** There may be more rows than the limit. */
  isSuspended: boolean
}

/**
 * How far a query has come, as far as PostgreSQL has said, also after it has settled. `queued`: no
 * byte of it was handed to the socket. `sent`: no BindComplete has come. `bound`: BindComplete came.
 * PostgreSQL keeps BindComplete in its buffer while the statement runs: of a connection that is lost,
 * `sent` does not say that the statement did not begin (`mayHaveBegun`).
 */
export type QueryState = 'queued' | 'sent' | 'bound'

/** What is sent for a query. */
export type Request =
  | { kind: 'statement'; statement: Statement; portal: string }
  | { kind: 'fetch'; portal: string; maxRows: number; admit: Statement['admit'] }
  | { kind: 'close'; portal: string }
  | { kind: 'simple'; sql: string }

/** The answer that a query waits for, in the order in which they come. */
export const STEP = { parsed: 0, bound: 1, described: 2, completed: 3, closed: 4, none: 5 } as const

/** One statement that is to run, runs or has run. */
export class Query {
  /** Settles when PostgreSQL is ready for the next: no error can come any more, not of a commit. */
  readonly result: Promise<Result>
  state: QueryState = 'queued'
  isSettled = false
  /** Bytes of its answer that were admitted. */
  admittedBytes = 0

  // For the session's own use from here on.
  readonly request: Request
  /** The queries under one Sync with it; undefined where it is alone. */
  pipeline: Query[] | undefined
  /** A Sync follows it. */
  isLast = true
  /** One of STEP. */
  step: number = STEP.none
  /** The statement that it uses by name. */
  prepared: Prepared | undefined
  answer: Result = emptyResult()
  /** Why rows of it were not read: it fails with this where PostgreSQL says of no other error. */
  refusal: Error | undefined
  /**
   * Whether it had begun, and PostgreSQL ended the session before it was complete: what its transaction
   * did was rolled back, unless the statement has committed a part of it itself.
   */
  get wasCutOff(): boolean {
    const isEnded = this.error instanceof ServerError && this.error.code === ADMIN_SHUTDOWN
    return this.state === 'bound' && this.step <= STEP.completed && isEnded
  }

  /** Of a text of several statements: those that have ended. */
  results: Result[] | undefined
  /** It has failed with this, or will once PostgreSQL is ready for the next query. */
  error: Error | undefined
  #resolve!: (result: Result) => void
  #reject!: (error: Error) => void

  constructor(request: Request) {
    this.request = request
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /**
   * Whether PostgreSQL may have begun to execute it. False only where that is certain: it was not
   * sent, or PostgreSQL answered in its place with an error or, as it ended the session, with 57P01.
   * A plan is made before that and computes what is constant: functions that are declared IMMUTABLE
   * may have run.
   */
  get mayHaveBegun(): boolean {
    if (this.state !== 'sent') return this.state === 'bound'
    if (this.error instanceof ServerError) {
      return this.error.severity !== 'ERROR' && this.error.code !== ADMIN_SHUTDOWN
    }
    return !isSkipped(this.error)
  }

  /** As of its statement. */
  get admit(): Statement['admit'] {
    const { request } = this
    if (request.kind === 'fetch') return request.admit
    return request.kind === 'statement' ? request.statement.admit : undefined
  }

  get admitsEach(): boolean {
    return this.request.kind === 'statement' && this.request.statement.admitsEach === true
  }

  /** Takes the rows of its answer that have come so far: its result has those behind them. */
  takeRows(): Row[] {
    const { rows } = this.answer
    this.answer.rows = []
    return rows
  }

  /** Of a text of several statements: one has ended, and none has begun behind it. */
  get hasEnded(): boolean {
    return this.results !== undefined && this.answer.rows.length === 0
  }

  /** The end of one of the statements of a text. */
  endStatement(): void {
    this.results ??= []
    this.results.push(this.answer)
    this.answer = emptyResult()
  }

  /** Its answer is whole, or `error` is known. */
  settle(): void {
    if (this.error) {
      this.reject(this.error)
      return
    }
    this.isSettled = true
    if (this.refusal) {
      this.result.catch(() => {})
      this.#reject(this.refusal)
      return
    }
    this.#resolve(this.results?.at(-1) ?? this.answer)
  }

  reject(error: Error): void {
    this.isSettled = true
    // An error that no caller looks at must not end the process.
    this.result.catch(() => {})
    this.error ??= error
    this.#reject(this.error)
  }
}

function emptyResult(): Result {
  return { rows: [], columns: undefined, tag: '', isSuspended: false }
}

/** Code of the error for a statement that PostgreSQL skipped, after an error in its pipeline. */
export const SKIPPED = 'SKIPPED'

/** Code of the error for a query that was taken back before it was sent. */
export const DROPPED = 'DROPPED'

/** Errors without a stack: they are normal answers. */
export function skipped(): Error {
  return bare('An earlier statement of the pipeline failed', SKIPPED)
}

/** Whether a query has failed since PostgreSQL passed it over. */
export function isSkipped(error: Error | undefined): boolean {
  return error !== undefined && 'code' in error && error.code === SKIPPED
}

export function dropped(): Error {
  return bare('The query was taken back before it was sent', DROPPED)
}

function bare(message: string, code: string): Error {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  const error = new Error(message)
  Error.stackTraceLimit = limit
  return Object.assign(error, { code })
}
