import { GatewayError } from '../../errors.ts'
import { INVALID_TRANSACTION_TERMINATION } from '../../postgres/sqlstates.ts'
import type { Kept } from '../run/attempt.ts'
import type { CallParts } from '../run/call-to-run.ts'
import { type ExclusiveSession, inExclusiveSession } from '../run/exclusive-session.ts'
import { inOneTransaction } from '../run/one-transaction.ts'
import { type BatchResult, type BatchToRun, BytesLeft } from '../run/running-batch.ts'
import type { TransactionOf } from '../run/time-limit.ts'
import { ClaimFailed, KeptAnswers } from './kept-answers.ts'
import type { IdempotencyKey } from './key.ts'
import { KeysInUse } from './keys-in-use.ts'
import { Sweeps } from './sweeps.ts'

/** Settings of kept answers; they may change while the gateway runs. */
export interface KeepingSettings {
  /** Lifetime of an answer, in milliseconds. */
  idempotencyTtlMs: number
  /** Maximum number of requests that wait for one key. */
  maxQueuePerDatabase: number
}

/** Maximum number of retries of a claim that conflicts with another transaction. */
const MAX_CONFLICTS = 10

/**
 * Codes of errors in binding arguments. A kept answer is returned in spite of them: the function
 * may have changed since it gave the answer.
 */
const OF_BINDING: unknown[] = ['function_not_found', 'invalid_request']

/** Runs each call with an Idempotency-Key once, in a transaction that keeps its answer. */
export class KeyedCalls {
  readonly #parts: CallParts
  readonly #settings: KeepingSettings
  readonly #prepareAnswers: (database: string) => Promise<void>
  readonly #keys: KeysInUse
  readonly #sweeps: Sweeps
  readonly #preparing = new Map<string, Promise<void>>()

  /** @param prepareAnswers creates the table of answers in a database that has none */
  constructor(
    parts: CallParts,
    settings: KeepingSettings,
    prepareAnswers: (database: string) => Promise<void>,
  ) {
    this.#parts = parts
    this.#settings = settings
    this.#prepareAnswers = prepareAnswers
    this.#keys = new KeysInUse(
      () => parts.settings.statementTimeoutMs,
      () => settings.maxQueuePerDatabase,
    )
    this.#sweeps = new Sweeps(parts.pools, settings.idempotencyTtlMs)
  }

  /**
   * Runs a batch, or one call (`of` is `function`), or returns the kept answers.
   * @throws {GatewayError} idempotency_key_reused; query_timeout if another request with the key
   *   does not end in time; errors of `runBatch`
   */
  run(batch: BatchToRun, key: IdempotencyKey, of: TransactionOf): Promise<BatchResult> {
    this.#sweeps.note(batch.database)
    return this.#keys.alone(batch, key.text, () =>
      batch.isTransaction ? this.#transaction(batch, key, of) : this.#eachByItself(batch, key),
    )
  }

  /** Has the answers that are kept in a renamed database swept under its new name. */
  followRename(from: string, to: string): void {
    this.#sweeps.followRename(from, to)
  }

  end(): void {
    this.#sweeps.end()
  }

  async #transaction(
    batch: BatchToRun,
    key: IdempotencyKey,
    of: TransactionOf,
    first = 0,
  ): Promise<BatchResult> {
    const places = batch.calls.map((_, i) => first + i)
    const keeping = new KeptAnswers(key, places, this.#settings.idempotencyTtlMs, of)
    const isReadOnly = batch.restrictions?.isReadOnly
    try {
      if (isReadOnly) return await this.#reading(batch, keeping)
      const done = await this.#claiming(batch, () =>
        inOneTransaction(this.#parts, { ...batch, keeping }),
      )
      return { ...done, kept: keptOf(keeping) }
    } catch (error) {
      const isOfBinding = error instanceof GatewayError && OF_BINDING.includes(error.code)
      const mayBeKept = isOfBinding && !isReadOnly
      const kept = mayBeKept && (await this.#claiming(batch, () => this.#find(batch, keeping)))
      if (kept) return kept
      throw told(error, of)
    }
  }

  /**
   * Returns the kept answers of a read-only tenant. Without any, runs the calls and keeps nothing:
   * they cannot write, so that they may run again.
   */
  async #reading(batch: BatchToRun, keeping: KeptAnswers): Promise<BatchResult> {
    const kept = await this.#claiming(batch, () => this.#find(batch, keeping).catch(ifNoneKept))
    return kept ?? inOneTransaction(this.#parts, batch)
  }

  /** Runs each call in a transaction of its own; keeps the answers of those that succeed. */
  async #eachByItself(batch: BatchToRun, key: IdempotencyKey): Promise<BatchResult> {
    const bytes = new BytesLeft(this.#parts.settings.maxResultBytes, batch)
    const results: BatchResult['results'] = []
    const timing = { waitMs: 0, queryMs: 0 }
    const kepts: Kept[] = []
    for (const [place, call] of batch.calls.entries()) {
      const one: BatchToRun = { ...batch, calls: [call], isTransaction: true, bytes }
      try {
        const done = await this.#transaction(one, key, 'function', place)
        results.push(...done.results)
        if (done.kept) kepts.push(done.kept)
        timing.waitMs += done.waitMs
        timing.queryMs += done.queryMs
      } catch (error) {
        if (!(error instanceof GatewayError) || isOfBatch(error, place)) throw error
        results.push(error)
      }
    }
    if (kepts.length < batch.calls.length) return { results, ...timing }
    const kept: Kept = {
      tookMs: Math.max(...kepts.map(({ tookMs }) => tookMs)),
      isReplay: kepts.every(({ isReplay }) => isReplay),
    }
    return { results, ...timing, kept }
  }

  /** Creates the table of answers; concurrent calls of one database share the work. */
  #prepare(database: string): Promise<void> {
    const running = this.#preparing.get(database)
    if (running) return running
    const preparing = this.#prepareAnswers(database).finally(() => this.#preparing.delete(database))
    this.#preparing.set(database, preparing)
    return preparing
  }

  /** Returns the kept answers without running a call; undefined if there are none. */
  async #find(batch: BatchToRun, keeping: KeptAnswers): Promise<BatchResult | undefined> {
    const work = async (exclusive: ExclusiveSession) => {
      exclusive.isUncommitted = true
      try {
        return { results: await keeping.begin(exclusive, batch.budget) }
      } finally {
        await exclusive.session.simple('rollback').catch(() => {})
      }
    }
    const { results, ...timing } = await inExclusiveSession(this.#parts.pools, batch, work)
    return results && { results, ...timing, kept: keptOf(keeping) }
  }

  /** Runs `work` and repeats it if its claim fails, which is safe because no call has run then. */
  async #claiming<T>(batch: BatchToRun, work: () => Promise<T>): Promise<T> {
    let isPrepared = false
    for (let conflicts = 0; ; ) {
      try {
        return await work()
      } catch (error) {
        if (!(error instanceof ClaimFailed)) throw error
        if (error.kind === 'conflict' && conflicts++ < MAX_CONFLICTS) continue
        if (error.kind === 'conflict' || isPrepared) throw error.cause
        isPrepared = true
        await this.#prepare(batch.database)
      }
    }
  }
}

/** A database without a table of answers has kept none. */
function ifNoneKept(error: unknown): undefined {
  if (!(error instanceof ClaimFailed) || error.kind !== 'not prepared') throw error
}

function keptOf({ tookMs, isReplay }: KeptAnswers): Kept {
  return { tookMs, isReplay }
}

/** Whether an error fails the whole batch: of its key, or no connection for its first call. */
function isOfBatch({ code }: GatewayError, place: number): boolean {
  const hasNoSession = code === 'pool_exhausted' || code === 'connection_failed'
  return code === 'idempotency_key_reused' || (hasNoSession && place === 0)
}

/** Removes the place from the error of a single call; adds a hint to that of COMMIT or ROLLBACK. */
function told(error: unknown, of: TransactionOf): unknown {
  if (!(error instanceof GatewayError)) return error
  const { call, ...others } = error.details
  const details = of === 'function' ? others : { ...error.details }
  if (details.sqlstate === INVALID_TRANSACTION_TERMINATION) {
    details.hint =
      'With an Idempotency-Key a procedure runs inside the transaction that keeps its answer, and ' +
      'cannot COMMIT or ROLLBACK: call it without the key'
  }
  return new GatewayError(error.code, error.message, details, error.status)
}
