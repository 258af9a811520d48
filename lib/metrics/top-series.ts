/** One label value with its counters since the start. */
export interface Item {
  key: string
  counters: number[]
  /** The items with the highest rank have series of their own. */
  rank: number
}

/** What is shown: counters of series of their own, and the sums of all others. */
export interface TopSeriesView {
  own: Map<string, number[]>
  rest: number[]
}

interface Member {
  /** Counters as they are shown, and as the item had them last. */
  shown: number[]
  last: number[]
}

const CHOOSE_EVERY_MS = 10 * 60 * 1000

/** Factor by which an item's rank must exceed that of a series for it to take its place. */
const HYSTERESIS = 2

/** Label value of everything that has no series of its own. */
export const OTHERS = '(other)'

/**
 * Bounds the series of counters: the items of the highest ranks have their own, all others one
 * together. No series ever decreases, whichever items change places, so that rates stay right: an
 * item that gets a series again begins at 0, as after a restart, and the rest is what no series of
 * its own has shown.
 */
export class TopSeries {
  readonly #most: number
  readonly #members = new Map<string, Member>()
  /** Items of the last update, which the rest has shown where they have no series. */
  #known = new Set<string>()
  /** Sums of all that series of their own have shown, with those that ended. */
  #shownTotals: number[] = []
  #chosenAt = Number.NEGATIVE_INFINITY

  constructor(most = 200) {
    this.#most = most
  }

  /**
   * @param items all items; their order does not matter
   * @param totals sums of the counters over all items, with those that no longer exist
   */
  update(items: Item[], totals: number[], now = performance.now()): TopSeriesView {
    const byKey = new Map(items.map((item) => [item.key, item]))
    for (const key of this.#members.keys()) if (!byKey.has(key)) this.#members.delete(key)
    this.#choose(items, byKey, now)
    // After the choice: what a series that ends has not shown belongs to the rest.
    for (const [key, member] of this.#members) this.#advance(member, byKey.get(key)!.counters)
    this.#known = new Set(byKey.keys())
    const own = new Map([...this.#members].map(([key, { shown }]) => [key, [...shown]]))
    const rest = totals.map((total, i) => Math.max(0, total - (this.#shownTotals[i] ?? 0)))
    return { own, rest }
  }

  #choose(items: Item[], byKey: Map<string, Item>, now: number): void {
    const isDue = now - this.#chosenAt > CHOOSE_EVERY_MS
    const hasRoom = this.#members.size < this.#most
    if (items.length === this.#members.size || !(isDue || hasRoom)) return
    const outside = items
      .filter(({ key }) => !this.#members.has(key))
      .sort((one, other) => other.rank - one.rank)
    if (isDue && !hasRoom) {
      const inside = [...this.#members.keys()]
        .map((key) => byKey.get(key)!)
        .sort((one, other) => one.rank - other.rank)
      for (const [i, item] of outside.entries()) {
        const weakest = inside[i]
        if (!weakest || item.rank <= HYSTERESIS * weakest.rank) break
        this.#members.delete(weakest.key)
      }
    }
    if (isDue) this.#chosenAt = now
    for (const item of outside) {
      if (this.#members.size >= this.#most) break
      this.#admit(item)
    }
  }

  /** Gives an item its series: with all that it has counted if that is new, else from now on. */
  #admit({ key, counters }: Item): void {
    const isNew = !this.#known.has(key)
    const none = counters.map(() => 0)
    this.#members.set(key, { shown: none, last: isNew ? none : counters })
  }

  #advance(member: Member, counters: number[]): void {
    member.shown = counters.map((value, i) => {
      const before = member.last[i] ?? 0
      // A database that was dropped and made again begins at 0.
      const gained = value >= before ? value - before : value
      this.#shownTotals[i] = (this.#shownTotals[i] ?? 0) + gained
      return (member.shown[i] ?? 0) + gained
    })
    member.last = [...counters]
  }
}
