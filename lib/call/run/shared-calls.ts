import type { Connection } from '../../postgres/pools/connection.ts'
import { STUCK_MS } from '../../postgres/pools/pool.ts'

/** Milliseconds between two looks at the shared sessions. */
const LOOK_EVERY_MS = 5

/** The looks at nothing after which the timer stops. */
const MAX_IDLE_LOOKS = 200

/** A call in a shared session; it goes elsewhere when it is told that it was overtaken. */
export interface SharedCall {
  /** May be called more than once. */
  overtake(): void
}

/**
 * The calls in shared sessions, each in the order in which their answers come. Where the first of a
 * session has run for 10 ms, those behind it go elsewhere; their late answers are dropped, since
 * they only read. One timer serves all sessions.
 */
export class SharedCalls {
  readonly #calls = new Map<Connection, Set<SharedCall>>()
  #timer: NodeJS.Timeout | undefined
  #idleLooks = 0

  /** Adds a call, the last in its session. */
  add(connection: Connection, call: SharedCall): void {
    const calls = this.#calls.get(connection)
    if (calls) calls.add(call)
    else this.#calls.set(connection, new Set([call]))
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS).unref()
  }

  /** Takes a call out whose answer has come. */
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
      // Timers come before what was read: after a pause of the process its answer may be there.
      setImmediate(() => {
        if (isStuck(connection, performance.now())) overtake(this.#calls.get(connection))
      })
    }
  }
}

function isStuck({ answeredAt }: Connection, now: number): boolean {
  return now - answeredAt > STUCK_MS
}

/** All but the first. */
function overtake(calls: Set<SharedCall> | undefined): void {
  const [, ...behind] = calls ?? []
  for (const call of behind) call.overtake()
}
