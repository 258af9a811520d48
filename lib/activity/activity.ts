import type { Sql } from '../postgres/pools/connection.ts'
import { readSessions, type SessionActivity } from './sessions.ts'
import { readVitals, type Vitals } from './vitals.ts'

interface ActivityOptions {
  /** Runs `work` in the administrative database; may run it twice. */
  use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>
  /** application_name of the gateways' sessions. */
  application: string
  /** Id of the catalog. */
  catalogId: string
}

/** What PostgreSQL is doing. */
export interface ServerActivity {
  /** ISO 8601. */
  at: string
  sessions: SessionActivity[]
  vitals: Vitals
}

/** Milliseconds for which all who ask share one answer of PostgreSQL. */
const FRESH_MS = 500

/** What the sessions of PostgreSQL are doing, and its vital signs. */
export class Activity {
  readonly #options: ActivityOptions
  #read: Promise<ServerActivity> | undefined

  constructor(options: ActivityOptions) {
    this.#options = options
  }

  /** Returns what PostgreSQL is doing, as of half a second ago at most. */
  read(): Promise<ServerActivity> {
    if (this.#read) return this.#read
    const reading = this.#ask()
    const forget = () => {
      if (this.#read === reading) this.#read = undefined
    }
    this.#read = reading
    reading.then(() => setTimeout(forget, FRESH_MS).unref(), forget)
    return reading
  }

  #ask(): Promise<ServerActivity> {
    const { use, application, catalogId } = this.#options
    return use(async (sql) => {
      const [sessions, vitals] = await Promise.all([
        readSessions(sql, application, catalogId),
        readVitals(sql),
      ])
      return { at: new Date().toISOString(), sessions, vitals }
    })
  }
}
