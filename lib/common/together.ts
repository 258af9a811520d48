interface Waiting<T, R> {
  item: T
  resolve: (result: R) => void
  reject: (error: unknown) => void
}

/**
 * Does work of one kind for several items at once: while it is done for some, others gather, and are
 * next. An item is never kept waiting where nothing is being done.
 */
export class Together<T, R> {
  readonly #work: (items: T[]) => Promise<R[]>
  readonly #most: number
  #waiting: Waiting<T, R>[] = []
  #isBusy = false

  /**
   * @param work does the work for all items and returns the result of each. Where it fails for
   *   several, it is done again for each by itself.
   * @param most maximum number of items at once
   */
  constructor(work: (items: T[]) => Promise<R[]>, most: number) {
    this.#work = work
    this.#most = most
  }

  /** Resolves when the work is done for the item. Throws what the work throws. */
  run(item: T): Promise<R> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject })
      if (!this.#isBusy) this.#runAll()
    })
  }

  async #runAll(): Promise<void> {
    this.#isBusy = true
    while (this.#waiting.length > 0) await this.#runSome(this.#waiting.splice(0, this.#most))
    this.#isBusy = false
  }

  async #runSome(some: Waiting<T, R>[]): Promise<void> {
    try {
      const results = await this.#work(some.map(({ item }) => item))
      for (const [i, { resolve }] of some.entries()) resolve(results[i]!)
    } catch (error) {
      if (some.length === 1) some[0]!.reject(error)
      else await Promise.all(some.map((one) => this.#runSome([one])))
    }
  }
}
