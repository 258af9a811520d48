import type { NumericFormat } from '../json/numeric-format.ts'
import type { Replicas } from '../postgres/hosts/replicas.ts'
import type { Pools } from '../postgres/pools/pools.ts'
import type { Client } from '../postgres/pools/waiter.ts'
import type { BatchRequest } from './batch-request.ts'
import { bindCall } from './bind/parameters.ts'
import { bindTexts, chooseByNames, type UrlParameters } from './bind/url-parameters.ts'
import { ChangesByHand } from './changes-by-hand.ts'
import type { CallRequest } from './request.ts'
import type { AnswerBudget } from './run/answer-budget.ts'
import type { CallResult, Timing } from './run/attempt.ts'
import { runBatch } from './run/batch.ts'
import { CallDurations } from './run/call-durations.ts'
import type { CallParts, CallToRun } from './run/call-to-run.ts'
import { checkOnlyReads } from './run/places.ts'
import { runCall } from './run/run-call.ts'
import type { BatchResult } from './run/running-batch.ts'
import { SharedCalls } from './run/shared-calls.ts'
import { type RowSink, runStream } from './run/stream.ts'
import type { StreamSlots } from './run/stream-slots.ts'
import { type TimeLimit, withinLimit } from './run/time-limit.ts'
import type { KnownFunctions } from './signatures/known-functions.ts'
import type { Signature } from './signatures/signature.ts'

export interface CallsOptions {
  pools: Pools
  /** Undefined where there are none. */
  replicas: Replicas | undefined
  functions: KnownFunctions
  maxResultBytes: number
  statementTimeoutMs: number
  /** Of calls that do not say how they want numeric and bigint. */
  numericFormat: NumericFormat
  streams: StreamSlots
}

/** For whom a call is made, and in which database. */
export interface CallTarget {
  client: Client
  database: string
  /** Of the call alone; STATEMENT_TIMEOUT_SECS holds as well. */
  limit: TimeLimit | undefined
  /** Undefined: the answer waits for none. */
  budget?: AnswerBudget | undefined
}

/** A call whose parameters are from a URL. */
export interface UrlCall {
  name: string
  params: UrlParameters
  /** Undefined: as NUMERIC_FORMAT says. */
  numeric: NumericFormat | undefined
}

/**
 * Calls of functions. All verbs throw GatewayError: function_not_found, invalid_request for a value
 * that does not convert, query_failed and query_timeout for what the function raised,
 * result_too_large, pool_exhausted, connection_failed.
 */
export class Calls {
  readonly functions: KnownFunctions
  readonly #parts: CallParts
  readonly #byHand: ChangesByHand
  readonly #streams: StreamSlots
  readonly #numericFormat: NumericFormat

  constructor(options: CallsOptions) {
    this.functions = options.functions
    this.#streams = options.streams
    this.#numericFormat = options.numericFormat
    const durations = new CallDurations((database) => options.functions.schemaOf(database))
    this.#parts = { ...options, durations, calls: new SharedCalls() }
    this.#byHand = new ChangesByHand(options.functions, options.pools)
    options.functions.onChanged = (database) => {
      this.renewSessions(database)
      options.replicas?.catchUp(database)
    }
  }

  /** Runs a function and gives its rows. */
  run(target: CallTarget, request: CallRequest): Promise<CallResult> {
    return this.#run(this.#toRun(target, request))
  }

  /**
   * Runs a function that is STABLE or IMMUTABLE; PostgreSQL refuses all that writes.
   * @throws {GatewayError} method_not_allowed for one that is VOLATILE
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

  /** The same, with parameters from a URL. */
  get(target: CallTarget, request: UrlCall): Promise<CallResult> {
    return this.#run(this.#toGet(target, request))
  }

  /** Runs a function and hands its rows on as they come, in its turn among other streams. */
  stream(
    target: CallTarget,
    request: CallRequest,
    as: 'json' | 'columns',
    sink: RowSink,
  ): Promise<Timing> {
    return this.#stream(this.#toRun(target, request), as, sink)
  }

  /** The same, as `get`. */
  streamGet(
    target: CallTarget,
    request: UrlCall,
    as: 'json' | 'columns',
    sink: RowSink,
  ): Promise<Timing> {
    return this.#stream(this.#toGet(target, request), as, sink)
  }

  async #stream(call: CallToRun, as: 'json' | 'columns', sink: RowSink): Promise<Timing> {
    const { client, database, limit } = call
    const release = await this.#streams.take(database, client, limit?.deadline)
    try {
      const work = () => runStream(this.#parts, call, as, sink)
      return await withinLimit(limit, database, work, 'stream')
    } finally {
      release()
      this.#byHand.noticeCall(database)
    }
  }

  /** Runs several functions, all or nothing, or each by itself. */
  async batch(target: CallTarget, request: BatchRequest): Promise<BatchResult> {
    const { calls, isTransaction, session: settings } = request
    const numbersAsText = this.#isText(request.numeric)
    try {
      const batch = { ...target, calls, isTransaction, settings, numbersAsText }
      return await withinLimit(target.limit, target.database, () => runBatch(this.#parts, batch))
    } finally {
      this.#byHand.noticeCall(target.database)
    }
  }

  /** Closes the sessions of a database, on replicas too: those in use once their calls have ended. */
  renewSessions(database: string): void {
    const { pools, replicas } = this.#parts
    pools.renew(database)
    replicas?.renew(database)
  }

  /** The same, for a deploy that ends those that do not end by themselves: a call that it cuts runs again. */
  retireSessions(database: string): void {
    const { pools, replicas } = this.#parts
    pools.retire(database)
    replicas?.retire(database)
  }

  async #run(call: CallToRun): Promise<CallResult> {
    try {
      return await withinLimit(call.limit, call.database, () => runCall(this.#parts, call))
    } finally {
      this.#byHand.noticeCall(call.database)
    }
  }

  /**
   * A database was deployed to. Its sessions end: PostgreSQL does not plan anew what has a constant
   * of a composite type that was changed, and gives garbage or crashes.
   */
  forget(database: string): void {
    this.functions.forget(database)
    this.renewSessions(database)
  }

  /** The same, of all databases. */
  forgetAll(): void {
    this.functions.forgetAll()
  }

  #toRun({ client, database, limit, budget }: CallTarget, request: CallRequest): CallToRun {
    const { name, params, session: settings, primary, numeric } = request
    return {
      client,
      database,
      name,
      // A method: what compiles TypeScript names each arrow function, for 0.5 µs of each call.
      bind(overloads) {
        return bindCall(name, overloads, params)
      },
      numbersAsText: this.#isText(numeric),
      settings,
      limit,
      budget,
      primary,
      mustOnlyRead: false,
    }
  }

  #toGet({ client, database, limit, budget }: CallTarget, request: UrlCall): CallToRun {
    const { name, params, numeric } = request
    return {
      client,
      database,
      limit,
      budget,
      name,
      bind(overloads) {
        return bindTexts(checkOnlyReads(chooseByNames(name, overloads, params)), params)
      },
      numbersAsText: this.#isText(numeric),
      settings: undefined,
      primary: false,
      mustOnlyRead: true,
    }
  }

  #isText(asked: NumericFormat | undefined): boolean {
    return (asked ?? this.#numericFormat) === 'string'
  }
}
