/** Cache of the templates' states in one gateway; it can be lost at any time. */
export class KnownTemplates {
  readonly #building = new Map<string, Promise<unknown>>()
  readonly #settled = new Set<string>()

  /** Runs the work, or waits for work with the same key that is in progress. */
  share<T>(key: string, work: () => Promise<T>): Promise<T> {
    const running = this.#building.get(key) as Promise<T> | undefined
    if (running) return running
    const building = work().finally(() => this.#building.delete(key))
    this.#building.set(key, building)
    return building
  }

  /**
   * Returns whether the template is ready, its archive recorded as deployed, and older ones
   * dropped.
   */
  isSettled(name: string): boolean {
    return this.#settled.has(name)
  }

  settle(name: string): void {
    if (this.#settled.size >= MAX_SETTLED) this.#settled.clear()
    this.#settled.add(name)
  }

  unsettle(name: string): void {
    this.#settled.delete(name)
  }
}

const MAX_SETTLED = 10_000
