import type { NumericFormat } from '../json/numeric-format.ts'
import type { Replicas } from '../postgres/hosts/replicas.ts'
import type { Pools } from '../postgres/pools/pools.ts'
import { MovedAway } from '../tenancy/catalog/moved-away.ts'
import type { BatchRequest } from './batch-request.ts'
import { bindCall } from './bind/parameters.ts'
import { bindTexts, chooseByNames } from './bind/url-parameters.ts'
import { ChangesByHand } from './changes-by-hand.ts'
import type { IdempotencyKey } from './idempotency/key.ts'
import { type KeepingSettings, KeyedCalls } from './idempotency/keyed-calls.ts'
import type { CallRequest } from './request.ts'
import type { CallResult, Timing } from './run/attempt.ts'
import { runBatch } from './run/batch.ts'
import { CallDurations } from './run/call-durations.ts'
import type { CallParts, CallToRun, SettingsOfRuns } from './run/call-to-run.ts'
import { followTenant } from './run/moved.ts'
import { checkOnlyReads } from './run/places.ts'
import type { Rows } from './run/result.ts'
import { runCall } from './run/run-call.ts'
import type { BatchResult } from './run/running-batch.ts'
import { SharedCalls } from './run/shared-calls.ts'
import { type RowSink, runStream } from './run/stream.ts'
import type { StreamSlots } from './run/stream-slots.ts'
import { type TransactionOf, withinLimit } from './run/time-limit.ts'
import type { KnownFunctions } from './signatures/known-functions.ts'
import type { Signature } from './signatures/signature.ts'
import type { CallTarget, UrlCall } from './target.ts'
import { explainLimits, explainResults, type LimitsOfCalls, TenantGate } from './tenant-gate.ts'
import { countBatch, countDone, countedSink, countFailedBatch, followCounted } from './usage.ts'

export interface CallsOptions {
  pools: Pools
  /** Pools of the replicas; undefined without replicas. */
  replicas: Replicas | undefined
  functions: KnownFunctions
  usage: CallParts['usage']
  streams: StreamSlots
  limits: LimitsOfCalls
  /** Creates the table of kept answers in a database that has none. */
  prepareAnswers: (database: string) => Promise<void>
}

/** Settings of calls; they may change while the gateway runs. */
export interface CallSettings extends SettingsOfRuns, KeepingSettings {
  /** Format of numeric and bigint for calls that do not choose one. */
  numericFormat: NumericFormat
}

/**
 * Calls functions. All methods that call throw GatewayError: function_not_found, invalid_request
 * for a value that does not convert, query_failed and query_timeout for errors that the function
 * raised, result_too_large, pool_exhausted, connection_failed; rate_limited and tenant_read_only by
 * the limits of the tenant.
 */
export class Calls {
  readonly functions: KnownFunctions
  readonly #parts: CallParts
  readonly #byHand: ChangesByHand
  readonly #streams: StreamSlots
  readonly #settings: CallSettings
  readonly keyed: KeyedCalls
  readonly #gate: TenantGate

  constructor(settings: CallSettings, options: CallsOptions) {
    this.functions = options.functions
    this.#streams = options.streams
    this.#settings = settings
    const durations = new CallDurations((database) => options.functions.schemaOf(database))
    this.#parts = { ...options, settings, durations, calls: new SharedCalls() }
    this.#gate = new TenantGate(options.limits)
    this.keyed = new KeyedCalls(this.#parts, settings, options.prepareAnswers)
    this.#byHand = new ChangesByHand(options.functions, options.pools)
    options.functions.onChanged = (database) => {
      this.renewSessions(database)
      options.replicas?.catchUp(database)
    }
  }

  /**
   * Runs a function and returns its rows. With a key, it runs once: see `KeyedCalls`.
   * @throws {GatewayError} idempotency_key_reused
   */
  run(target: CallTarget, request: CallRequest, key?: IdempotencyKey): Promise<CallResult> {
    if (key) return this.#runKeyed(target, request, key)
    return this.#run(this.#toRun(target, request))
  }

  async #runKeyed(
    target: CallTarget,
    { name, params, session, numeric }: CallRequest,
    key: IdempotencyKey,
  ): Promise<CallResult> {
    const calls = [{ name, params }]
    const batch = { calls, isTransaction: true, session, numeric, timeoutMs: undefined }
    const { results, ...done } = await this.#batch(target, batch, key, 'function')
    return { ...(results[0] as Rows), ...done }
  }

  /**
   * Runs a STABLE or IMMUTABLE function in a read-only transaction and returns its rows.
   * @throws {GatewayError} method_not_allowed for a VOLATILE function
   */
  query(target: CallTarget, request: CallRequest): Promise<CallResult> {
    const call = this.#toRun(target, request)
    const bind = async (overloads: Signature[]) => {
      const bound = await call.bind(overloads)
      checkOnlyReads(bound.signature)
      return bound
    }
    return this.#run({ ...call, bind, mustOnlyRead: true })
  }

  /** Runs a STABLE or IMMUTABLE function with parameters from a URL, as `query` does. */
  get(target: CallTarget, request: UrlCall): Promise<CallResult> {
    return this.#run(this.#toGet(target, request))
  }

  /**
   * Runs a function and passes its rows to `sink` as they arrive. Waits for a stream slot first.
   * @param as `json`: one JSON object a row; `columns`: the values of each row as text
   */
  async stream(
    target: CallTarget,
    request: CallRequest,
    as: 'json' | 'columns',
    sink: RowSink,
  ): Promise<Timing> {
    return this.#stream(this.#toRun(target, request), as, sink)
  }

  /** Streams as `stream` does, with parameters from a URL as in `get`. */
  async streamGet(
    target: CallTarget,
    request: UrlCall,
    as: 'json' | 'columns',
    sink: RowSink,
  ): Promise<Timing> {
    return this.#stream(this.#toGet(target, request), as, sink)
  }

  async #stream(call: CallToRun, as: 'json' | 'columns', sink: RowSink): Promise<Timing> {
    const { client, database, limit } = call
    const counted = countedSink(sink)
    let release: (() => void) | undefined
    try {
      release = await this.#streams.take(database, client, limit?.deadline)
      const work = () => runStream(this.#parts, call, as, counted)
      const done = await withinLimit(limit, database, work, 'stream')
      countDone(this.#parts, call, counted)
      return done
    } catch (error) {
      return await this.#stream(await followCounted(this.#parts, call, error, counted), as, sink)
    } finally {
      release?.()
      this.#byHand.noticeCall(database)
    }
  }

  /** Runs several functions, in one transaction or each in its own; with a key, each once. */
  batch(target: CallTarget, request: BatchRequest, key?: IdempotencyKey): Promise<BatchResult> {
    return this.#batch(target, request, key, 'calls')
  }

  /** Stops the sweeps of kept answers. */
  end(): void {
    this.keyed.end()
  }

  async #batch(
    target: CallTarget,
    request: BatchRequest,
    key: IdempotencyKey | undefined,
    of: TransactionOf,
  ): Promise<BatchResult> {
    const { calls, isTransaction, session: settings } = request
    const numbersAsText = this.#isText(request.numeric)
    const restrictions = this.#gate.admit(target.database, calls.length)
    const held = { ms: 0, startedAt: performance.now() }
    const batch = { ...target, calls, isTransaction, settings, numbersAsText, restrictions, held }
    try {
      const done = await withinLimit(target.limit, target.database, () =>
        key ? this.keyed.run(batch, key, of) : runBatch(this.#parts, batch),
      )
      countBatch(this.#parts, batch, done.results)
      if (!restrictions) return done
      return { ...done, results: explainResults(done.results, restrictions) }
    } catch (error) {
      const moved = await followTenant(target, explainLimits(error, restrictions)).catch((told) => {
        if (!(told instanceof MovedAway)) countFailedBatch(this.#parts, batch, told)
        throw told
      })
      return await this.#batch(moved, request, key, of)
    } finally {
      this.#byHand.noticeCall(target.database)
    }
  }

  /**
   * Closes the sessions of a database, on replicas too. A session in use closes when its calls have
   * ended.
   */
  renewSessions(database: string): void {
    const { pools, replicas } = this.#parts
    pools.renew(database)
    replicas?.renew(database)
  }

  /**
   * Closes the sessions of a database for a deploy, which terminates those that do not end by
   * themselves. A call that the deploy interrupts runs again.
   */
  retireSessions(database: string): void {
    const { pools, replicas } = this.#parts
    pools.retire(database)
    replicas?.retire(database)
  }

  async #run(call: CallToRun): Promise<CallResult> {
    try {
      const result = await withinLimit(call.limit, call.database, () => runCall(this.#parts, call))
      countDone(this.#parts, call, { rows: result.rowCount, bytes: result.rows.length })
      return result
    } catch (error) {
      return await this.#run(await followCounted(this.#parts, call, error))
    } finally {
      this.#byHand.noticeCall(call.database)
    }
  }

  /**
   * Drops the cached schema of a database after a deploy and closes its sessions. PostgreSQL does
   * not replan a statement with a constant of a composite type that was changed: the old plan
   * returns garbage or crashes.
   */
  forget(database: string): void {
    this.functions.forget(database)
    this.renewSessions(database)
  }

  /** Drops the cached schemas of all databases. */
  forgetAll(): void {
    this.functions.forgetAll()
  }

  #toRun(
    { client, database, findMoved, limit, budget }: CallTarget,
    request: CallRequest,
  ): CallToRun {
    const { name, params, session: settings, primary, numeric } = request
    return {
      client,
      database,
      findMoved,
      name,
      // A method, because the TypeScript compilers name each arrow function, which costs 0.5 µs a
      // call.
      bind(overloads) {
        return bindCall(name, overloads, params)
      },
      numbersAsText: this.#isText(numeric),
      settings,
      limit,
      restrictions: this.#gate.admit(database),
      budget,
      primary,
      mustOnlyRead: false,
      startedAt: performance.now(),
      held: { ms: 0, into: undefined },
      entry: undefined,
    }
  }

  #toGet({ client, database, findMoved, limit, budget }: CallTarget, request: UrlCall): CallToRun {
    const { name, params, numeric } = request
    return {
      client,
      database,
      findMoved,
      limit,
      restrictions: this.#gate.admit(database),
      budget,
      name,
      bind(overloads) {
        return bindTexts(checkOnlyReads(chooseByNames(name, overloads, params)), params)
      },
      numbersAsText: this.#isText(numeric),
      settings: undefined,
      primary: false,
      mustOnlyRead: true,
      startedAt: performance.now(),
      held: { ms: 0, into: undefined },
      entry: undefined,
    }
  }

  #isText(asked: NumericFormat | undefined): boolean {
    return (asked ?? this.#settings.numericFormat) === 'string'
  }
}
