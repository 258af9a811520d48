/** A named prepared statement of a session. */
export interface Prepared {
  readonly name: string
  readonly text: string
  /** Whether ParseComplete has come. */
  isReady: boolean
}

/** Prepared statements per session; each takes up to 50 KB of PostgreSQL's memory. */
export const MAX_STATEMENTS = 256

/** The prepared statements of a session by their text, an LRU cache. */
export class Statements {
  readonly #max: number
  readonly #byText = new Map<string, Prepared>()
  #latest: Prepared | undefined
  #closing: string[] = []
  #counter = 0

  constructor(max = MAX_STATEMENTS) {
    this.#max = max
  }

  get size(): number {
    return this.#byText.size
  }

  /** Returns the statement with this text and marks it as the most recently used. */
  find(text: string): Prepared | undefined {
    if (this.#latest?.text === text) return this.#latest
    const found = this.#byText.get(text)
    if (!found) return undefined
    // A Map iterates in insertion order: the first entry is the least recently used.
    this.#byText.delete(text)
    this.#byText.set(text, found)
    this.#latest = found
    return found
  }

  /** Adds a statement that `find` does not know; the caller must send its Parse. */
  add(text: string): Prepared {
    const added = { name: `gateway_${++this.#counter}`, text, isReady: false }
    this.#byText.set(text, added)
    this.#latest = added
    for (const oldest of this.#byText.values()) {
      if (this.#byText.size <= this.#max) break
      this.forget(oldest)
    }
    return added
  }

  /**
   * Forgets a statement, which is prepared again when it is next used, and has the server close it.
   * Closing a statement that does not exist is not an error.
   */
  forget(prepared: Prepared): void {
    // The text may belong to a newer statement by now.
    if (this.#byText.get(prepared.text) !== prepared) return
    this.#byText.delete(prepared.text)
    if (this.#latest === prepared) this.#latest = undefined
    this.#closing.push(prepared.name)
  }

  /** Forgets all statements. */
  clear(): void {
    for (const prepared of this.#byText.values()) this.forget(prepared)
  }

  /** Takes the names of forgotten statements; the caller must send a Close for each. */
  takeClosing(): string[] {
    const closing = this.#closing
    if (closing.length > 0) this.#closing = []
    return closing
  }
}
