import { ConnectionError, errorOf, GatewayError } from './errors.ts'
import type { Call, CallOptions, Client, ConnectOptions } from './types.ts'
import { type Any, type Bigints, encode, toBigints } from './values.ts'

/** What the client knows of a function. */
interface Known {
  /** It is STABLE or IMMUTABLE. */
  reads: boolean
  bigints?: Bigints
}

/** Where rows come from; `key` is the member that names the tenant. */
export interface Home {
  owner: Record<string, string>
  key: string
  functions: Record<string, Known>
}

interface Sent extends CallOptions {
  isSafe: boolean
  accept?: string
}

/** What waits in a stream is dropped with an error: reads that wait for it take it out before. */
const READS_AHEAD = 4

/** Where the gateway asks for a longer wait before the next try, the error is thrown. */
const LONGEST_WAIT_MS = 10_000

class Connection {
  readonly home: Home
  readonly options: ConnectOptions

  constructor(home: Home, options: ConnectOptions) {
    if (options.tenant === undefined) {
      throw new TypeError('tenant is missing: null means the main database')
    }
    this.home = home
    this.options = options
  }

  async rows(call: Call<unknown>, options: CallOptions = {}): Promise<unknown[]> {
    const answer = await this.#json('/call', call, [call], options)
    return this.#read(call, answer.rows)
  }

  async batch(calls: readonly Call<unknown>[], options: CallOptions = {}, transaction = false) {
    const own = { calls, ...(transaction && { transaction }) }
    const { results } = await this.#json('/batch', own, calls, options)
    return results.map((one: Any, i: number) =>
      'rows' in one ? this.#read(calls[i]!, one.rows) : errorOf(one.status, one),
    )
  }

  async *stream(call: Call<unknown>, options: CallOptions = {}): AsyncIterableIterator<unknown> {
    const accept = 'application/x-ndjson'
    const isSafe = this.#reads([call])
    const response = await this.#send('/call', call, { ...options, isSafe, accept })
    const reader = response.body.getReader()
    const decoder = new TextDecoder()
    const reads: Promise<Any>[] = []
    let text = ''
    let last: unknown
    try {
      for (;;) {
        while (reads.length < READS_AHEAD) {
          const read = reader.read()
          read.catch(() => {})
          reads.push(read)
        }
        const { done, value } = await reads.shift()!
        const chunk: string = done ? '' : decoder.decode(value, { stream: true })
        text += chunk
        // A long row is not looked through again with each chunk.
        if (!done && !chunk.includes('\n')) continue
        const lines = text.split('\n')
        text = lines.pop()!
        for (const line of lines) {
          if (last !== undefined) yield this.#read(call, [last])[0]
          last = JSON.parse(line)
          // The line before a cut may be the error that caused it.
          if (line.startsWith('{"error":')) continue
          yield this.#read(call, [last])[0]
          last = undefined
        }
        if (!done) continue
        if (text !== '') throw new Error('The answer ends within a row')
        if (last !== undefined) yield this.#read(call, [last])[0]
        return
      }
    } catch (error) {
      if (options.signal?.aborted || error instanceof GatewayError) throw error
      throw isError(last) ? errorOf(500, last) : new ConnectionError(error)
    } finally {
      reader.cancel().catch(() => {})
    }
  }

  /** Sends a request, and reads its whole answer, as often as is safe. */
  async #json(path: string, own: object, calls: readonly Call<unknown>[], options: CallOptions) {
    const reads = this.#reads(calls)
    const { idempotencyKey = !reads && this.options.idempotent } = options
    const key = idempotencyKey === true ? crypto.randomUUID() : idempotencyKey || undefined
    const isSafe = reads || key !== undefined
    const sent = { ...options, isSafe, ...(key !== undefined && { idempotencyKey: key }) }
    return this.#send(path, own, sent, (response) => response.json())
  }

  async #send(
    path: string,
    own: object,
    { signal, isSafe, accept = 'application/json', ...options }: Sent,
    read: (response: Any) => Promise<Any> = async (response) => response,
  ): Promise<Any> {
    const { url, headers, fetch: send = fetch, attempts: most = 3 } = this.options
    const { attempts = most, idempotencyKey } = options
    const init = {
      method: 'POST',
      headers: {
        ...headers,
        'content-type': 'application/json',
        accept,
        ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey as string }),
      },
      body: JSON.stringify({ ...this.#envelope(options), ...own }, encode),
      ...(signal && { signal }),
    }
    for (let attempt = 1; ; attempt++) {
      let failure: GatewayError
      let waitMs = 50 * 2 ** attempt * (0.5 + Math.random())
      try {
        const response = await send(url.replace(/\/+$/, '') + path, init)
        if (response.ok) return await read(response)
        const body = await response.json().catch(() => ({}))
        failure = errorOf(response.status, body)
        waitMs = Number(response.headers.get('retry-after') ?? 0) * 1000 || waitMs
      } catch (error) {
        if (signal?.aborted) throw error
        failure = new ConnectionError(error)
      }
      if (attempt >= attempts || waitMs > LONGEST_WAIT_MS || !isWorthAnother(failure, isSafe))
        throw failure
      await wait(waitMs, signal)
    }
  }

  #envelope({ timeoutMs, session, primary }: CallOptions) {
    const { owner, key } = this.home
    const { tenant } = this.options
    const all = { ...this.options.session, ...session }
    return {
      ...owner,
      ...(tenant !== null && { [key]: tenant }),
      ...(Object.keys(all).length > 0 && { session: all }),
      ...(timeoutMs !== undefined && { timeout_ms: timeoutMs }),
      ...(primary && { primary }),
      numeric: 'string',
    }
  }

  #reads(calls: readonly Call<unknown>[]): boolean {
    return calls.every((call) => this.home.functions[call.function]?.reads)
  }

  #read(call: Call<unknown>, rows: unknown[]): unknown[] {
    const bigints = this.home.functions[call.function]?.bigints
    return bigints ? rows.map((row) => toBigints(row, bigints)) : rows
  }
}

/** Whether a line of a stream is an error of the gateway, and no row. */
function isError(line: Any): line is Record<string, unknown> {
  return typeof line?.error === 'string' && typeof line.message === 'string'
}

function isWorthAnother({ code, sqlstate, status, mayHaveRun }: GatewayError, isSafe: boolean) {
  if (mayHaveRun)
    return isSafe && (status === 0 || status === 502 || status === 503 || status === 504)
  if (sqlstate === '40001' || sqlstate === '40P01') return true
  return code === 'pool_exhausted' || code === 'connection_failed'
}

function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(signal!.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    if (signal?.aborted) stop()
    else signal?.addEventListener('abort', stop, { once: true })
  })
}

export function connectTo<F>(home: Home, options: ConnectOptions): Client<F> {
  const connection = new Connection(home, options)
  const callOf = (name: string) => (params: unknown) => ({
    function: name,
    ...(params !== undefined && { params }),
  })
  const methods = (make: (call: Call<unknown>, options?: CallOptions) => unknown) =>
    Object.fromEntries(
      Object.keys(home.functions).map((name) => [
        name,
        (params?: unknown, more?: CallOptions) => make(callOf(name)(params) as Any, more),
      ]),
    )
  const { then: _, ...rows } = methods((call, more) => connection.rows(call, more))
  return {
    ...rows,
    $call: methods((call) => call),
    $stream: methods((call, more) => connection.stream(call, more)),
    $batch: (calls: Any, more?: CallOptions) => connection.batch(calls, more),
    $transaction: (calls: Any, more?: CallOptions) => connection.batch(calls, more, true),
    $tenant: (tenant: string | null) => connectTo(home, { ...options, tenant }),
  } as Any
}
