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
  /** Null if PostgreSQL does not answer. */
  sessions: SessionActivity[] | null
  vitals: Vitals | null
  /** Why they are null; null if they are not. */
  why: string | null
}

/** Milliseconds for which all who ask share one answer of PostgreSQL. */
const FRESH_MS = 500

/** Milliseconds that PostgreSQL has to answer. */
const LIMIT_MS = 5000

/** What the sessions of PostgreSQL are doing, and its vital signs. */
export class Activity {
  readonly #options: ActivityOptions
  #read: Promise<ServerActivity> | undefined

  constructor(options: ActivityOptions) {
    this.#options = options
  }

  /**
   * Returns what PostgreSQL is doing, as of half a second ago at most, or why that is not known. Never
   * rejects.
   */
  read(): Promise<ServerActivity> {
    if (this.#read) return this.#read
    const reading = inTime(this.#ask()).catch((error) => ({
      at: new Date().toISOString(),
      sessions: null,
      vitals: null,
      why: (error as Error).message || 'PostgreSQL does not answer',
    }))
    const forget = () => {
      if (this.#read === reading) this.#read = undefined
    }
    this.#read = reading
    reading.then(() => setTimeout(forget, FRESH_MS).unref())
    return reading
  }

  #ask(): Promise<ServerActivity> {
    const { use, application, catalogId } = this.#options
    return use(async (sql) => {
      const [sessions, vitals] = await Promise.all([
        readSessions(sql, application, catalogId),
        readVitals(sql),
      ])
      return { at: new Date().toISOString(), sessions, vitals, why: null }
    })
  }
}

/** @throws {Error} if PostgreSQL has not answered in LIMIT_MS */
function inTime<T>(work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Error(`PostgreSQL has not answered within ${LIMIT_MS / 1000} s`))
    const timer = setTimeout(late, LIMIT_MS)
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
