/** Bytes that grow piece by piece and may have to wait for more: those of one answer. */
export interface Holder {
  /** Bytes that it holds, and how often it waits for more; changed by the budget alone. */
  held: number
  waits: number
  /** Its place in the queue: a holder with a lower number goes first. */
  readonly order: number
}

interface Waiter {
  holder: Holder
  bytes: number
  resolve: () => void
  reject: (error: Error) => void
}

/**
 * One budget of bytes over all request bodies and all buffered answers (MAX_BUFFERED_BYTES).
 *
 * Bodies take with `tryTake` and are refused where there is no room. Answers are holders: they take
 * with `take` and wait in the order of their holders. Bodies leave half of the budget to answers, so
 * that answers which wait never wait for each other's bodies alone. Where every answer that holds
 * bytes waits, the oldest one takes more than there is: the bytes pass the budget by at most that
 * one answer, and by one body or answer that is larger than the budget itself.
 */
export class ByteBudget {
  readonly capacity: number
  #taken = 0
  /** Bytes of all holders, and of those holders that wait: what they hold now. */
  #held = 0
  #stuck = 0
  #holders = 0
  /** The lowest order first. */
  readonly #queue: Waiter[] = []

  /** `capacity`: bytes. */
  constructor(capacity: number) {
    this.capacity = capacity
  }

  /** Bytes that are taken. */
  get taken(): number {
    return this.#taken
  }

  /** Answers that wait for room. */
  get waiting(): number {
    return this.#queue.length
  }

  /** Takes bytes for a body; false where bodies and answers would hold more than half then. */
  tryTake(bytes: number): boolean {
    if (this.#taken > 0 && this.#taken + bytes > this.capacity / 2) return false
    this.#taken += bytes
    return true
  }

  /** Gives back what `tryTake` took. */
  give(bytes: number): void {
    this.#taken -= bytes
    this.#serve()
  }

  /** A new holder, behind all others in the order. */
  newHolder(): Holder {
    return { held: 0, waits: 0, order: this.#holders++ }
  }

  /** Takes more bytes for a holder: true at once, or a promise for when there is room. */
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

  /** Takes or gives back what makes the holder hold so many bytes, whether there is room or not. */
  hold(holder: Holder, bytes: number): void {
    this.#grant(holder, bytes - holder.held)
    this.#serve()
  }

  /** Ends a holder: gives all back, and rejects with the error where it waits. */
  end(holder: Holder, error: Error): void {
    this.leave(holder, error)
    this.hold(holder, 0)
  }

  /** Takes a holder out of the queue, and rejects with the error; what it holds stays. */
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
