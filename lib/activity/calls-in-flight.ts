/** Kind of a request that calls functions. */
export type CallKind = 'call' | 'batch' | 'stream'

/** A request that calls functions and is not answered yet. Times are `performance.now()`. */
export interface RunningCall {
  /** Its X-Request-Id. */
  id: string
  platform: string | undefined
  database: string | undefined
  /** Undefined for a batch. */
  function: string | undefined
  startedAt: number
  /** Undefined before it is known to be a call. */
  callKind: CallKind | undefined
  /** Number of the call on this gateway; 0 before it is known to be one. */
  callNumber: number
  /** Its place among the calls in flight. */
  callPlace: number
  /** Error code of the answer. */
  error: string | undefined
  client: {
    askedAt: number | undefined
    leasedAt: number | undefined
    cancel(): void
  }
}

/** A call in flight as it is shown. */
export interface ShownCall {
  /** Names the call in /admin/cancel-call. */
  id: string
  gateway: string
  request_id: string
  platform: string
  database: string | null
  function: string | null
  /** ISO 8601. */
  started_at: string
  ms: number
  phase: 'waiting' | 'running'
  kind: CallKind
  /** True, or why it cannot be cancelled. */
  can_cancel: true | string
}

/** How a cancellation ended. */
export interface Cancelled {
  cancelled: boolean
  platform: string
  database: string | null
  function: string | null
}

/** Milliseconds that a cancelled call has to end; PostgreSQL has one second, then its session ends. */
const END_LIMIT_MS = 2500

/** Maximum number of calls that are shown, the oldest first. */
const MAX_SHOWN = 500

/**
 * The calls of this gateway that are not answered yet. A call takes a place of a list and leaves it;
 * what is shown of it is made when somebody asks. Not a set: V8 makes the table of a set anew every
 * few calls, and an old table refers to the newer one and to the calls that it had. Once one of them
 * is in the old generation, all later ones get there, until the next full collection.
 */
export class CallsInFlight {
  readonly #gateway: string
  readonly #places: (RunningCall | undefined)[] = []
  readonly #free: number[] = []
  /** Those who wait for the end of a call. */
  readonly #ends = new Map<RunningCall, () => void>()
  #last = 0
  #errors = 0

  /** @param gateway id of this gateway */
  constructor(gateway: string) {
    this.#gateway = gateway
  }

  /** Number of calls that run or wait. */
  get size(): number {
    return this.#places.length - this.#free.length
  }

  /** Calls since the start, and those that were answered with an error. */
  get counts(): { calls: number; errors: number } {
    return { calls: this.#last, errors: this.#errors }
  }

  add(call: RunningCall, kind: CallKind): void {
    call.callKind = kind
    call.callNumber = ++this.#last
    call.callPlace = this.#free.pop() ?? this.#places.length
    this.#places[call.callPlace] = call
  }

  /** Takes out a request whose answer is complete, or cut; does nothing for those that are no calls. */
  remove(call: RunningCall): void {
    if (call.callNumber === 0 || this.#places[call.callPlace] !== call) return
    this.#places[call.callPlace] = undefined
    this.#free.push(call.callPlace)
    if (call.error !== undefined) this.#errors++
    if (this.#ends.size > 0) this.#ends.get(call)?.()
  }

  /** Returns the calls in flight of platforms that the client may name, the oldest first. */
  list(mayName: (platform: string) => boolean = () => true): ShownCall[] {
    const shown: ShownCall[] = []
    const now = performance.now()
    for (const call of this.#inOrder()) {
      if (shown.length === MAX_SHOWN) break
      const { platform } = call
      if (platform !== undefined && mayName(platform)) shown.push(this.#show(call, platform, now))
    }
    return shown
  }

  /**
   * Cancels a call, and waits until it has ended.
   * @returns undefined if there is no such call. `cancelled` is false if it ended by itself, or has
   *   not ended yet.
   */
  async cancel(number: number, platform: string): Promise<Cancelled | undefined> {
    const call = this.#find(number)
    if (!call || call.platform !== platform) return undefined
    const ended = this.#untilEnd(call)
    call.client.cancel()
    await ended
    return {
      cancelled: call.error === 'call_cancelled',
      platform,
      database: call.database ?? null,
      function: call.function ?? null,
    }
  }

  #find(number: number): RunningCall | undefined {
    return this.#places.find((call) => call?.callNumber === number)
  }

  #inOrder(): RunningCall[] {
    const calls = this.#places.filter((call) => call !== undefined)
    return calls.sort((a, b) => a.callNumber - b.callNumber)
  }

  #untilEnd(call: RunningCall): Promise<void> {
    return new Promise((resolve) => {
      const before = this.#ends.get(call)
      const end = () => {
        clearTimeout(timer)
        // Another one may wait by now.
        if (this.#ends.get(call) === end) this.#ends.delete(call)
        before?.()
        resolve()
      }
      const timer = setTimeout(end, END_LIMIT_MS)
      this.#ends.set(call, end)
    })
  }

  #show(call: RunningCall, platform: string, now: number): ShownCall {
    const { askedAt, leasedAt } = call.client
    const ms = now - call.startedAt
    const isRunning = leasedAt !== undefined && leasedAt >= (askedAt ?? 0)
    return {
      id: `${this.#gateway}.${call.callNumber}.${platform}`,
      gateway: this.#gateway,
      request_id: call.id,
      platform,
      database: call.database ?? null,
      function: call.function ?? null,
      started_at: new Date(Date.now() - ms).toISOString(),
      ms: Math.round(ms),
      phase: isRunning ? 'running' : 'waiting',
      kind: call.callKind!,
      can_cancel: true,
    }
  }
}
