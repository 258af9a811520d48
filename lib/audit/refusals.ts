import type { AuditEntry } from './entry.ts'

/** Milliseconds for which refused requests of one kind share an entry. */
const WINDOW_MS = 10 * 60 * 1000
/** Milliseconds between two updates of an entry's count. */
const UPDATE_EVERY_MS = 10_000
/** Maximum number of entries in use; refused requests of further kinds share a single entry. */
const MAX_ENTRIES = 100

interface Window {
  entry: AuditEntry
  endsAt: number
  isChanged: boolean
}

/**
 * Counts refused requests in few audit entries. A client that repeats a request a million times
 * leaves one entry every WINDOW_MS; requests from a million addresses leave MAX_ENTRIES and one.
 */
export class Refusals {
  readonly #note: (entry: AuditEntry) => void
  readonly #windows = new Map<string, Window>()
  readonly #updater: NodeJS.Timeout

  constructor(note: (entry: AuditEntry) => void) {
    this.#note = note
    this.#updater = setInterval(() => this.flush(), UPDATE_EVERY_MS).unref()
  }

  /**
   * Counts a refused request.
   * @param kind requests of the same kind share an entry
   * @param newEntry returns the entry; called for the first request of its kind
   */
  add(kind: string, newEntry: () => AuditEntry, now = Date.now()): void {
    const window = this.#windows.get(kind)
    const isOpen = window && now < window.endsAt
    const others = this.#windows.get('')
    if (isOpen) this.#count(window, now)
    else if (window || this.#hasRoom(now)) this.#open(kind, newEntry(), now)
    else if (others && now < others.endsAt) this.#count(others, now)
    else this.#open('', withoutParticulars(newEntry()), now)
  }

  /** Queues the entries whose count has changed, and closes windows that are over. */
  flush(now = Date.now()): void {
    for (const [kind, window] of this.#windows) {
      if (window.isChanged) this.#note(window.entry)
      window.isChanged = false
      if (now >= window.endsAt) this.#windows.delete(kind)
    }
  }

  end(): void {
    clearInterval(this.#updater)
    this.flush()
  }

  #hasRoom(now: number): boolean {
    if (this.#windows.size < MAX_ENTRIES) return true
    // A flood reaches this line with each request: flush only if the oldest window is over.
    const [oldest] = this.#windows.values()
    if (oldest && now >= oldest.endsAt) this.flush(now)
    return this.#windows.size < MAX_ENTRIES
  }

  #open(kind: string, entry: AuditEntry, now: number): void {
    const replaced = this.#windows.get(kind)
    if (replaced?.isChanged) this.#note(replaced.entry)
    this.#windows.delete(kind)
    this.#windows.set(kind, { entry, endsAt: now + WINDOW_MS, isChanged: false })
    this.#note(entry)
  }

  #count(window: Window, now: number): void {
    window.entry.requests++
    window.entry.last_at = new Date(now).toISOString()
    window.isChanged = true
  }
}

function withoutParticulars(entry: AuditEntry): AuditEntry {
  return {
    ...entry,
    method: '',
    path: '',
    platform: null,
    databases: [],
    address: null,
    peer: null,
    forwarded_for: null,
    forwarded: null,
    status: null,
    error: null,
    duration_ms: null,
    summary: { others: true },
  }
}
