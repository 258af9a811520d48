/**
 * A binary heap that knows the place of each item: `first` is O(1), every change is O(log n).
 * An item whose order has changed has to be told with `update`.
 */
export class Heap<T> {
  readonly #items: T[] = []
  readonly #places = new Map<T, number>()
  readonly #goesBefore: (a: T, b: T) => boolean

  constructor(goesBefore: (a: T, b: T) => boolean) {
    this.#goesBefore = goesBefore
  }

  get size(): number {
    return this.#items.length
  }

  /** The item that goes before all others; undefined if there is none. */
  get first(): T | undefined {
    return this.#items[0]
  }

  /** Adds an item that it does not have yet. */
  add(item: T): void {
    this.#put(item, this.#items.length)
    this.update(item)
  }

  /** Moves an item to where it belongs by now. Does nothing for an item that it does not have. */
  update(item: T): void {
    const place = this.#places.get(item)
    if (place === undefined) return
    if (!this.#rise(item, place)) this.#sink(item, place)
  }

  delete(item: T): void {
    const place = this.#places.get(item)
    if (place === undefined) return
    this.#places.delete(item)
    const last = this.#items.pop() as T
    if (place === this.#items.length) return
    this.#put(last, place)
    this.update(last)
  }

  #rise(item: T, from: number): boolean {
    let place = from
    while (place > 0) {
      const above = (place - 1) >> 1
      const other = this.#items[above] as T
      if (!this.#goesBefore(item, other)) break
      this.#put(other, place)
      place = above
    }
    this.#put(item, place)
    return place < from
  }

  #sink(item: T, from: number): void {
    const { length } = this.#items
    let place = from
    for (;;) {
      let below = 2 * place + 1
      if (below >= length) break
      const isRight =
        below + 1 < length && this.#goesBefore(this.#items[below + 1] as T, this.#items[below] as T)
      if (isRight) below++
      const other = this.#items[below] as T
      if (!this.#goesBefore(other, item)) break
      this.#put(other, place)
      place = below
    }
    this.#put(item, place)
  }

  #put(item: T, place: number): void {
    this.#items[place] = item
    this.#places.set(item, place)
  }
}
