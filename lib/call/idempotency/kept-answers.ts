import { GatewayError } from '../../errors.ts'
import { isQueryCanceled } from '../../postgres/errors.ts'
import type { Result, Statement } from '../../postgres/session/query.ts'
import { ServerError } from '../../postgres/session/server-error.ts'
import { LOCK_NOT_AVAILABLE } from '../../postgres/sqlstates.ts'
import type { AnswerBudget } from '../run/answer-budget.ts'
import type { ExclusiveSession } from '../run/exclusive-session.ts'
import type { Rows } from '../run/result.ts'
import type { TransactionOf } from '../run/time-limit.ts'
import { type IdempotencyKey, keyInUse, keyReused } from './key.ts'

/** Largest answer that is kept, in bytes. */
export const MAX_KEPT_BYTES = 1024 * 1024

/** SQLSTATEs of a claim where the functions are missing or the role may not execute them. */
const NOT_PREPARED = new Set(['3F000', '42883', '42501', '42P01'])
/** SQLSTATEs after which the claim is repeated in a new transaction. */
const CONFLICTS = new Set(['40001', '40P01'])

/**
 * Failure to claim a key, before any call has run. `not prepared`: the database has no table of
 * answers. `conflict`: the claim conflicted with another transaction and may succeed in a new one.
 */
export class ClaimFailed extends Error {
  readonly kind: 'not prepared' | 'conflict'

  constructor(kind: ClaimFailed['kind'], cause: unknown) {
    super('The key could not be claimed', { cause })
    this.kind = kind
  }
}

const BEGIN: Statement = { text: 'begin', values: [] }

/**
 * Saves and resets the transaction's role before `keep_answer`. A function may have set a role that
 * may not execute it.
 */
const LEAVE_ROLE: Statement = {
  text:
    "select pg_catalog.set_config('_db_gateway.role', pg_catalog.current_setting('role'), true), " +
    "pg_catalog.set_config('role', 'none', true)",
  values: [],
  isPrepared: false,
}
/** Restores the saved role: deferred triggers run as it, as they do without a key. */
const RETURN_TO_ROLE: Statement = {
  text: "select pg_catalog.set_config('role', pg_catalog.current_setting('_db_gateway.role'), true)",
  values: [],
  isPrepared: false,
}

/** The answers of one transaction's calls, kept under an Idempotency-Key. */
export class KeptAnswers {
  readonly #key: IdempotencyKey
  readonly #places: number[]
  readonly #ttlMs: number
  readonly #of: TransactionOf
  /** Time from the arrival of the request that ran the calls to their answers, in milliseconds. */
  tookMs = 0
  /** Whether an earlier request kept the answers, so that this transaction runs no call. */
  isReplay = false

  /**
   * @param places indexes of the transaction's calls in the request
   * @param ttlMs lifetime of the answers in milliseconds
   */
  constructor(key: IdempotencyKey, places: number[], ttlMs: number, of: TransactionOf) {
    this.#key = key
    this.#places = places
    this.#ttlMs = ttlMs
    this.#of = of
  }

  /**
   * Begins a transaction and claims the key in it. Waits for the end of another transaction that
   * has claimed the key.
   * @returns the kept answers; undefined if the calls have to run
   * @throws {ClaimFailed}; {GatewayError} idempotency_key_reused, query_timeout
   */
  async begin(
    { session, limits, database }: Pick<ExclusiveSession, 'session' | 'limits' | 'database'>,
    budget: AnswerBudget | undefined,
  ): Promise<Rows[] | undefined> {
    limits.transactionOf = this.#of
    const claims = this.#places.map((place) => this.#claim(place, budget))
    const queries = session.pipeline([BEGIN, ...claims])
    session.flush()
    let answers: Result[]
    try {
      answers = (await Promise.all(queries.map(({ result }) => result))).slice(1)
    } catch (error) {
      throw explained(error, database)
    }
    const rows = answers.map((answer) => answer.rows[0]!)
    const states = rows.map(([state]) => state!.toString())
    if (states.includes('reused')) throw keyReused(database)
    if (!states.every((state) => state === 'kept')) return undefined
    this.isReplay = true
    this.tookMs = Math.max(...rows.map((row) => Number(row[3]!.toString())))
    return rows.map((row) => ({ rows: row[1]!, rowCount: Number(row[2]!.toString()) }))
  }

  /**
   * Writes the answers to the table in the open transaction.
   * @throws {GatewayError} result_too_large if an answer exceeds MAX_KEPT_BYTES
   */
  async keep({ session, database }: ExclusiveSession, answers: Rows[]): Promise<void> {
    for (const { rows } of answers) if (rows.length > MAX_KEPT_BYTES) throw tooLarge(database)
    this.tookMs = Math.round(performance.now() - this.#key.startedAt)
    const keeps = answers.map(({ rows, rowCount }, i) => ({
      text: 'select _db_gateway.keep_answer($1, $2::pg_catalog.int4, $3, $4::pg_catalog.int8, $5::pg_catalog.int4)',
      values: [
        this.#key.text,
        String(this.#places[i]),
        rows,
        String(rowCount),
        String(this.tookMs),
      ],
      // A function may have deallocated the session's prepared statements.
      isPrepared: false,
    }))
    const queries = session.pipeline([LEAVE_ROLE, ...keeps, RETURN_TO_ROLE])
    session.flush()
    await Promise.all(queries.map(({ result }) => result))
  }

  #claim(place: number, budget: AnswerBudget | undefined): Statement {
    const { text, fingerprint } = this.#key
    return {
      text: 'select * from _db_gateway.claim_answer($1, $2::pg_catalog.int4, $3::pg_catalog.bytea, $4::pg_catalog.int8)',
      values: [text, String(place), `\\x${fingerprint.toString('hex')}`, String(this.#ttlMs)],
      admit: budget && ((bytes) => budget.admit(bytes)),
      admitsEach: budget?.admitsEach,
    }
  }
}

function explained(error: unknown, database: string): unknown {
  if (!(error instanceof ServerError)) return error
  if (isQueryCanceled(error) || error.code === LOCK_NOT_AVAILABLE) return keyInUse(database)
  if (NOT_PREPARED.has(error.code)) return new ClaimFailed('not prepared', error)
  return CONFLICTS.has(error.code) ? new ClaimFailed('conflict', error) : error
}

function tooLarge(database: string): GatewayError {
  return new GatewayError(
    'result_too_large',
    `The answer is larger than ${MAX_KEPT_BYTES} bytes, more than is kept for an Idempotency-Key; ` +
      'the call was rolled back',
    { database, may_have_run: false },
  )
}
