import type { GatewayError } from './errors.ts'
import type { Any } from './values.ts'

/** A function: its parameters by name or by position, and a row of its result. */
interface FunctionType {
  params: object
  row: unknown
}

/** Overloads are a union; a union of functions becomes one function with overloads. */
type Overloaded<U> = (U extends unknown ? (one: U) => void : never) extends (all: infer I) => void
  ? I
  : never

type Method<F, R extends 'rows' | 'call' | 'stream'> = F extends FunctionType
  ? Record<never, never> extends F['params']
    ? (params?: F['params'], options?: CallOptions) => Result<F['row'], R>
    : (params: F['params'], options?: CallOptions) => Result<F['row'], R>
  : never

type Result<Row, R> = R extends 'rows'
  ? Promise<Row[]>
  : R extends 'call'
    ? Call<Row>
    : AsyncIterableIterator<Row>

type Methods<F, R extends 'rows' | 'call' | 'stream'> = {
  [K in keyof F]: Overloaded<Method<F[K], R>>
}

/** A call that `$batch` or `$transaction` runs. */
export interface Call<Row> {
  function: string
  params: unknown
  /** The type of its rows; it has no value. */
  readonly row?: Row
}

type RowsOf<C> = C extends Call<infer Row> ? Row[] : never

/**
 * The functions of a platform, bound to a tenant. One named `then` is in `$call` and `$stream` alone:
 * with it the client would pass for a promise.
 */
export type Client<F> = Omit<Methods<F, 'rows'>, 'then'> & {
  /** Calls that are not sent yet, for `$batch` and `$transaction`. */
  $call: Methods<F, 'call'>
  /** Results of any size, row by row as PostgreSQL gives them. */
  $stream: Methods<F, 'stream'>
  /** Runs up to 100 calls in one request, each by itself: the rows of each, or its error. */
  $batch<const C extends readonly Call<Any>[]>(
    calls: C,
    options?: CallOptions,
  ): Promise<{ -readonly [K in keyof C]: RowsOf<C[K]> | GatewayError }>
  /** Runs up to 100 calls in one transaction: all or nothing. */
  $transaction<const C extends readonly Call<Any>[]>(
    calls: C,
    options?: CallOptions,
  ): Promise<{ -readonly [K in keyof C]: RowsOf<C[K]> }>
  /** The same client for another tenant; null is the main database. */
  $tenant(tenant: string | null): Client<F>
}

export interface ConnectOptions {
  /** Address of the gateway: `http://localhost:9000`. */
  url: string
  /** The tenant whose database is called; null is the main database. */
  tenant: string | null
  /** Headers of each request. */
  headers?: Record<string, string>
  /** Custom settings that functions read with `current_setting('app.user_id', true)`. */
  session?: Record<string, unknown>
  /** Largest number of tries of a request; 3 by default. */
  attempts?: number
  /** Gives each call that may write an Idempotency-Key, so that it can be tried again safely. */
  idempotent?: boolean
  fetch?: (url: string, init: Any) => Promise<Any>
}

export interface CallOptions {
  signal?: AbortSignal
  /** Time limit in milliseconds, which the gateway keeps. */
  timeoutMs?: number
  session?: Record<string, unknown>
  /** Sees everything that was committed before: no replica is asked. */
  primary?: boolean
  /** The write happens once, however often it is sent with this key; true makes a new key. */
  idempotencyKey?: string | true
  attempts?: number
}
