/** A statement that has a name in the session. */
export interface Prepared {
  readonly name: string
  readonly text: string
  /** ParseComplete has come for it. */
  isReady: boolean
}

/** How many statements stay prepared in one session: each is up to 50 KB of PostgreSQL's memory. */
export const MAX_STATEMENTS = 256

/** The prepared statements of one session, by their text; the least recently used give way. */
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

  /** The statement with this text, which is the most recently used then. */
  find(text: string): Prepared | undefined {
    if (this.#latest?.text === text) return this.#latest
    const found = this.#byText.get(text)
    if (!found) return undefined
    // A Map keeps the order in which entries were set: the first is the least recently used.
    this.#byText.delete(text)
    this.#byText.set(text, found)
    this.#latest = found
    return found
  }

  /** Names a statement that `find` does not know; a Parse has to follow. */
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
   * The statement is prepared anew at its next use. The server is told to close it: to close one
   * that does not exist is no error.
   */
  forget(prepared: Prepared): void {
    // Another one may have its text by now.
    if (this.#byText.get(prepared.text) !== prepared) return
    this.#byText.delete(prepared.text)
    if (this.#latest === prepared) this.#latest = undefined
    this.#closing.push(prepared.name)
  }

  /** Forgets all. */
  clear(): void {
    for (const prepared of this.#byText.values()) this.forget(prepared)
  }

  /** Names of statements that are forgotten and not closed yet; they count as closed from now on. */
  takeClosing(): string[] {
    const closing = this.#closing
    if (closing.length > 0) this.#closing = []
    return closing
  }
}
