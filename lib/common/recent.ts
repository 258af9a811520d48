/** Cache that evicts the least recently used values when their total size exceeds a limit. */
export class Recent<T> {
  readonly #values = new Map<string, { value: T; size: number }>()
  readonly #limit: number
  #size = 0

  /** @param limit largest total of the values' sizes; a larger single value is not cached */
  constructor(limit: number) {
    this.#limit = limit
  }

  get(key: string): T | undefined {
    const found = this.#values.get(key)
    if (!found) return undefined
    this.#values.delete(key)
    this.#values.set(key, found)
    return found.value
  }

  set(key: string, value: T, size: number): void {
    this.delete(key)
    if (size > this.#limit) return
    this.#values.set(key, { value, size })
    this.#size += size
    for (const first of this.#values.keys()) {
      if (this.#size <= this.#limit) return
      this.delete(first)
    }
  }

  delete(key: string): void {
    this.#size -= this.#values.get(key)?.size ?? 0
    this.#values.delete(key)
  }
}
