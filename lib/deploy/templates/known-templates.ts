/** What one gateway knows of templates while it runs, by their names; it can lose all of it. */
export class KnownTemplates {
  readonly #building = new Map<string, Promise<unknown>>()
  readonly #settled = new Set<string>()

  /** Does the work, or waits for that of the same name and kind that is under way. */
  share<T>(key: string, work: () => Promise<T>): Promise<T> {
    const running = this.#building.get(key) as Promise<T> | undefined
    if (running) return running
    const building = work().finally(() => this.#building.delete(key))
    this.#building.set(key, building)
    return building
  }

  /** Whether there is nothing to do for it: it is ready, its archive is deployed, older ones are gone. */
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
