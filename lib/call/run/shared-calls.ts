import type { Connection } from '../../postgres/pools/connection.ts'
import { STUCK_MS } from '../../postgres/pools/pool.ts'

/** Milliseconds between two checks of the shared sessions. */
const LOOK_EVERY_MS = 5

/** Number of checks without calls after which the timer stops. */
const MAX_IDLE_LOOKS = 200

/** A call in a shared session. It moves to another place when it is overtaken. */
export interface SharedCall {
  /** Moves the call to another place. May be called more than once. */
  overtake(): void
}

/**
 * The calls in shared sessions, in the order of their answers. If the first call of a session has
 * run for 10 ms, those behind it move to other places. Their late answers are dropped, which is
 * safe because they only read. One timer serves all sessions.
 */
export class SharedCalls {
  readonly #calls = new Map<Connection, Set<SharedCall>>()
  #timer: NodeJS.Timeout | undefined
  #idleLooks = 0

  /** Adds a call as the last of its session. */
  add(connection: Connection, call: SharedCall): void {
    const calls = this.#calls.get(connection)
    if (calls) calls.add(call)
    else this.#calls.set(connection, new Set([call]))
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS).unref()
  }

  /** Removes a call whose answer has arrived. */
  remove(connection: Connection, call: SharedCall): void {
    const calls = this.#calls.get(connection)
    calls?.delete(call)
    if (calls?.size === 0) this.#calls.delete(connection)
  }

  #look(): void {
    this.#idleLooks = this.#calls.size > 0 ? 0 : this.#idleLooks + 1
    if (this.#idleLooks > MAX_IDLE_LOOKS) {
      clearInterval(this.#timer)
      this.#timer = undefined
      this.#idleLooks = 0
    }
    const now = performance.now()
    for (const [connection, calls] of this.#calls) {
      if (calls.size < 2 || !isStuck(connection, now)) continue
      // Timers run before socket reads: after a pause of the process the answer may have arrived
      // already.
      setImmediate(() => {
        if (isStuck(connection, performance.now())) overtake(this.#calls.get(connection))
      })
    }
  }
}

function isStuck({ answeredAt }: Connection, now: number): boolean {
  return now - answeredAt > STUCK_MS
}

/** Moves all calls but the first to other places. */
function overtake(calls: Set<SharedCall> | undefined): void {
  const [, ...behind] = calls ?? []
  for (const call of behind) call.overtake()
}
