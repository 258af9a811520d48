import type { CatalogEntry } from './catalog-table.ts'

/** Platform of a database, and the role that the gateway uses in it. */
export type Holder = Pick<CatalogEntry, 'database' | 'platform' | 'role'>

/** Databases of a generation. With two of them, at most some 50 MB. */
const GENERATION = 100_000

/**
 * Holders by database name. Dropped databases stay, because running work still asks for them, until
 * as many others as a generation has were noted or asked for.
 */
export class Holders {
  #young = new Map<string, Holder>()
  #old = new Map<string, Holder>()
  readonly #generation: number
  readonly #onForgetting: () => void

  /** @param onForgetting called when those of `#old` are forgotten, before it returns */
  constructor(onForgetting: () => void, generation = GENERATION) {
    this.#onForgetting = onForgetting
    this.#generation = generation
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(database: string): Holder | undefined {
    const young = this.#young.get(database)
    if (young) return young
    const old = this.#old.get(database)
    if (old) this.set(old)
    return old
  }

  set(holder: Holder): void {
    this.#old.delete(holder.database)
    this.#young.set(holder.database, holder)
    if (this.#young.size <= this.#generation) return
    this.#old = this.#young
    this.#young = new Map()
    this.#onForgetting()
  }
}
