/** Counts permits. It has no queue: the pools decide which waiter gets a permit. */
export class Semaphore {
  /** May be changed at any time; more permits may be held until some are released. */
  capacity: number
  #held = 0

  /** `capacity`: maximum number of permits held at once. */
  constructor(capacity: number) {
    this.capacity = capacity
  }

  get held(): number {
    return this.#held
  }

  /** Takes a permit if one is free. */
  tryAcquire(): boolean {
    if (this.#held >= this.capacity) return false
    this.#held++
    return true
  }

  /** Releases one permit. */
  release(): void {
    if (this.#held === 0) throw new Error('A permit was released twice')
    this.#held--
  }
}
