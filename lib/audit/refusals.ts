import type { AuditEntry } from './entry.ts'

/** Refused requests that are alike are one entry for so long. */
const WINDOW_MS = 10 * 60 * 1000
/** How often an entry is written again with the number that it stands for by then. */
const UPDATE_EVERY_MS = 10_000
/** Entries of one window; all further ones are a single entry. */
const MAX_ENTRIES = 100

interface Window {
  entry: AuditEntry
  endsAt: number
  isChanged: boolean
}

/**
 * Refused requests, counted: whoever is refused a million times leaves as many entries as one who
 * is refused once, and strangers from a million addresses leave MAX_ENTRIES and one.
 */
export class Refusals {
  readonly #note: (entry: AuditEntry) => void
  readonly #windows = new Map<string, Window>()
  readonly #updater: NodeJS.Timeout

  constructor(note: (entry: AuditEntry) => void) {
    this.#note = note
    this.#updater = setInterval(() => this.flush(), UPDATE_EVERY_MS).unref()
  }

  /** `kind`: what makes requests alike. `newEntry` is asked for the first of them. */
  add(kind: string, newEntry: () => AuditEntry, now = Date.now()): void {
    const window = this.#windows.get(kind)
    const isOpen = window && now < window.endsAt
    const others = this.#windows.get('')
    if (isOpen) this.#count(window, now)
    else if (window || this.#hasRoom(now)) this.#open(kind, newEntry(), now)
    else if (others && now < others.endsAt) this.#count(others, now)
    else this.#open('', withoutParticulars(newEntry()), now)
  }

  /** Has the numbers written down, and forgets the windows that are over. */
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
    // A flood comes here with each request: it is not to pay for that again and again.
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
