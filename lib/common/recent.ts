/** Values by their keys; those that were not asked for the longest go when all are too large. */
export class Recent<T> {
  readonly #values = new Map<string, { value: T; size: number }>()
  readonly #limit: number
  #size = 0

  /** `limit`: what the sizes of all come to at most. A value that is larger alone is not kept. */
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
