/**
 * Counts permits. It only counts: who waits, in which order, and who has to give way is decided
 * by the pools, which know what each permit is used for.
 */
export class Semaphore {
  /** May be changed at any time; more may be out then until some come back. */
  capacity: number
  #held = 0

  /** `capacity`: the most permits that are out at once. */
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

  /** Gives one permit back. */
  release(): void {
    if (this.#held === 0) throw new Error('A permit was given back twice')
    this.#held--
  }
}
