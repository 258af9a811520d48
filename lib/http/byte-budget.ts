/** The bytes of one answer, which grow step by step and may have to wait for more. */
export interface Holder {
  /** Bytes held, and number of pending waits; only the budget changes them. */
  held: number
  waits: number
  /** Position in the queue: the lowest number goes first. */
  readonly order: number
}

interface Waiter {
  holder: Holder
  bytes: number
  resolve: () => void
  reject: (error: Error) => void
}

/**
 * One budget of bytes for all request bodies and buffered answers (MAX_BUFFERED_BYTES).
 *
 * Bodies use `tryTake` and are refused if the budget is exhausted. Answers are holders: they use
 * `take` and wait in the order of their holders. Bodies leave half of the budget to answers, so
 * that bodies alone never block an answer. If every answer that holds bytes waits, the oldest one
 * gets more than the budget has, so that the answers cannot deadlock. The budget is exceeded by at
 * most that one answer, and by one body or answer that is larger than the whole budget.
 */
export class ByteBudget {
  #capacity: number
  #taken = 0
  /** Bytes of all holders, and of the holders that wait. */
  #held = 0
  #stuck = 0
  #holders = 0
  /** Waiters, the lowest order first. */
  readonly #queue: Waiter[] = []

  /** `capacity`: size of the budget in bytes. */
  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get capacity(): number {
    return this.#capacity
  }

  /** Another size; what is taken already stays taken. */
  set capacity(bytes: number) {
    this.#capacity = bytes
    this.#serve()
  }

  /** Bytes taken by bodies and answers. */
  get taken(): number {
    return this.#taken
  }

  /** Number of waits of answers. */
  get waiting(): number {
    return this.#queue.length
  }

  /** Takes bytes for a body; returns false if more than half of the budget would be taken. */
  tryTake(bytes: number): boolean {
    if (this.#taken > 0 && this.#taken + bytes > this.capacity / 2) return false
    this.#taken += bytes
    return true
  }

  /** Releases bytes of `tryTake`. */
  give(bytes: number): void {
    this.#taken -= bytes
    this.#serve()
  }

  /** Returns a new holder, the last in the order. */
  newHolder(): Holder {
    return { held: 0, waits: 0, order: this.#holders++ }
  }

  /** Takes more bytes for a holder: returns true, or a promise that resolves when it has them. */
  take(holder: Holder, bytes: number): true | Promise<void> {
    const first = this.#queue[0]
    const isNext = first === undefined || holder.order < first.holder.order
    if (isNext && this.#hasCapacity(bytes)) {
      this.#grant(holder, bytes)
      return true
    }
    return new Promise((resolve, reject) => {
      const behind = this.#queue.findIndex((waiter) => waiter.holder.order > holder.order)
      const place = behind < 0 ? this.#queue.length : behind
      this.#queue.splice(place, 0, { holder, bytes, resolve, reject })
      if (holder.waits++ === 0) this.#stuck += holder.held
      this.#serve()
    })
  }

  /** Sets the bytes of a holder, even beyond the budget. */
  hold(holder: Holder, bytes: number): void {
    this.#grant(holder, bytes - holder.held)
    this.#serve()
  }

  /** Ends a holder: releases its bytes and rejects its waits with the error. */
  end(holder: Holder, error: Error): void {
    this.leave(holder, error)
    this.hold(holder, 0)
  }

  /** Removes a holder from the queue and rejects its waits with the error; it keeps its bytes. */
  leave(holder: Holder, error: Error): void {
    for (;;) {
      const index = this.#queue.findIndex((waiter) => waiter.holder === holder)
      const [waiter] = index < 0 ? [] : this.#queue.splice(index, 1)
      if (!waiter) break
      this.#endWait(holder)
      waiter.reject(error)
    }
    this.#serve()
  }

  #hasCapacity(bytes: number): boolean {
    return this.#taken + bytes <= this.capacity
  }

  #grant(holder: Holder, bytes: number): void {
    holder.held += bytes
    this.#held += bytes
    this.#taken += bytes
    if (holder.waits > 0) this.#stuck += bytes
  }

  #endWait(holder: Holder): void {
    if (--holder.waits === 0) this.#stuck -= holder.held
  }

  #serve(): void {
    for (;;) {
      const first = this.#queue[0]
      const doAllWait = this.#held === this.#stuck
      if (!first || !(doAllWait || this.#hasCapacity(first.bytes))) return
      this.#queue.shift()
      this.#endWait(first.holder)
      this.#grant(first.holder, first.bytes)
      first.resolve()
    }
  }
}
