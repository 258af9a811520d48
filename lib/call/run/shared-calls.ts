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
 *
 * A session keeps its list while it is open. Not a set: V8 makes the table of a set anew every few
 * calls, see `CallsInFlight`.
 */
export class SharedCalls {
  readonly #calls = new Map<Connection, SharedCall[]>()
  #timer: NodeJS.Timeout | undefined
  #idleLooks = 0

  /** Adds a call as the last of its session. */
  add(connection: Connection, call: SharedCall): void {
    const calls = this.#calls.get(connection)
    if (calls) calls.push(call)
    else this.#calls.set(connection, [call])
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS).unref()
  }

  /** Removes a call whose answer has arrived. */
  remove(connection: Connection, call: SharedCall): void {
    const calls = this.#calls.get(connection)
    const at = calls ? calls.indexOf(call) : -1
    if (at === 0) calls!.shift()
    else if (at > 0) calls!.splice(at, 1)
  }

  #look(): void {
    const now = performance.now()
    let isIdle = true
    for (const [connection, calls] of this.#calls) {
      if (calls.length > 0) isIdle = false
      else if (connection.closed) this.#calls.delete(connection)
      if (calls.length < 2 || !isStuck(connection, now)) continue
      // Timers run before socket reads: after a pause of the process the answer may have arrived
      // already.
      setImmediate(() => {
        if (isStuck(connection, performance.now())) overtake(calls)
      })
    }
    this.#idleLooks = isIdle ? this.#idleLooks + 1 : 0
    if (this.#idleLooks > MAX_IDLE_LOOKS) this.#rest()
  }

  /** Stops to look until there is another call. */
  #rest(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#idleLooks = 0
    this.#calls.clear()
  }
}

function isStuck({ answeredAt }: Connection, now: number): boolean {
  return now - answeredAt > STUCK_MS
}

/** Moves all calls but the first to other places. */
function overtake(calls: SharedCall[]): void {
  for (const call of calls.slice(1)) call.overtake()
}
