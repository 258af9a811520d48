import type { Connection } from '../../postgres/pools/connection.ts'

const known = new WeakMap<Connection, SessionNotes>()

/** What replays know of a session that they have used. */
export class SessionNotes {
  /** Whether the session has the statements that its first replay prepares. */
  isPrepared = false
  /** Whether the database gives new sessions other settings than it gave this one. */
  isOutdated = false
  #settings: string | undefined

  /**
   * Returns whether the session has the settings that the database gives its sessions, by the
   * `database` of `StateBefore`: those that the first replay of the session saw.
   */
  hasSettingsOf(database: object): boolean {
    const settings = JSON.stringify(database)
    this.#settings ??= settings
    this.isOutdated = this.#settings !== settings
    return !this.isOutdated
  }
}

/** Returns what is known of the session of a connection. */
export function notesOf(connection: Connection): SessionNotes {
  const notes = known.get(connection) ?? new SessionNotes()
  known.set(connection, notes)
  return notes
}
