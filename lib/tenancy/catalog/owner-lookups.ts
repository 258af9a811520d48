import { GatewayError } from '../../errors.ts'
import { type Client, clientGone, waitLimit } from '../../postgres/pools/waiter.ts'

/** Options of one look-up. */
export interface LookupOptions {
  /**
   * Client that waits; undefined for the gateway's own work, which the queue limit does not apply
   * to.
   */
  client?: Client | undefined
  /** `performance.now()` at which the call's own time limit ends. */
  deadline?: number | undefined
  /** Asks PostgreSQL again, even if an answer is cached or a query is under way. */
  anew?: boolean
}

export interface LookupLimits {
  /** Maximum number of names that wait for a query, and of clients that wait for one name. */
  maxWaiting: number
  /** Milliseconds that a client waits for an answer. */
  waitMs: number
}

interface Waiter<Entry> {
  resolve: (entry: Entry | undefined) => void
  reject: (error: unknown) => void
}

/** One name that is looked up, and the callers that wait for the answer. */
interface Flight<Entry> {
  database: string
  waiters: Set<Waiter<Entry>>
}

/** Maximum number of queries under way. */
const MAX_QUERIES = 2

/** Maximum number of names in one query. */
const MAX_NAMES = 1000

/** Size of the cache, in answers; the least recently used answer is evicted first. */
const MAX_REMEMBERED = 10_000

/**
 * Looks up names of databases or platforms in the catalog. Look-ups of one name share one answer,
 * and waiting names share one query. Answers are cached until `forget`, including the absence of a
 * name.
 */
export class OwnerLookups<Entry> {
  readonly #read: (names: string[]) => Promise<Entry[]>
  readonly #nameOf: (entry: Entry) => string
  readonly #limits: LookupLimits
  /**
   * Cached answers by name, least recently used first; null records that the name does not exist.
   */
  readonly #remembered = new Map<string, Entry | null>()
  /** Look-ups whose answer may be cached and shared with later callers. */
  readonly #flights = new Map<string, Flight<Entry>>()
  /** Look-ups among them that no query has sent yet. */
  readonly #unsent = new Set<Flight<Entry>>()
  #queries = 0
  #isDeaf = false

  /**
   * @param read returns the entries with these names
   * @param nameOf returns the name of an entry
   */
  constructor(
    read: (names: string[]) => Promise<Entry[]>,
    nameOf: (entry: Entry) => string,
    limits: LookupLimits,
  ) {
    this.#read = read
    this.#nameOf = nameOf
    this.#limits = limits
  }

  /**
   * Returns the entry with this name, or undefined if there is none.
   * @throws {GatewayError} pool_exhausted if too many callers wait, no answer comes within
   *   `waitMs`, or the client disconnects; query_timeout at the deadline; the errors of `read`
   */
  async find(database: string, options: LookupOptions = {}): Promise<Entry | undefined> {
    if (options.anew) this.forget(database)
    const known = this.#remembered.get(database)
    if (known !== undefined) {
      this.#remember(database, known)
      return known ?? undefined
    }
    const flight = this.#flights.get(database) ?? this.#newFlight(database, options.client)
    const answer = this.#join(flight, options)
    this.#send()
    return answer
  }

  /** Returns whether this entry, a result of `find`, is still cached. */
  remembers(entry: Entry): boolean {
    return this.#remembered.get(this.#nameOf(entry)) === entry
  }

  /** Returns whether the absence of this name is cached. */
  isAbsent(database: string): boolean {
    return this.#remembered.get(database) === null
  }

  /**
   * Removes a name from the cache. The answer of a query that is under way for it is not cached
   * either.
   */
  forget(database: string): void {
    this.#remembered.delete(database)
    const flight = this.#flights.get(database)
    if (flight && !this.#unsent.has(flight)) this.#flights.delete(database)
  }

  /**
   * Clears the cache. Absence is cached again from now on: the gateway receives notifications of
   * changes.
   */
  forgetAll(): void {
    for (const database of [...this.#remembered.keys(), ...this.#flights.keys()]) {
      this.forget(database)
    }
    this.#isDeaf = false
  }

  /**
   * Clears the cache and caches no absence until `forgetAll`: the gateway receives no notifications
   * of changes.
   */
  stopRememberingAbsence(): void {
    this.forgetAll()
    this.#isDeaf = true
  }

  #newFlight(database: string, client: Client | undefined): Flight<Entry> {
    if (client && this.#unsent.size >= this.#limits.maxWaiting) {
      throw tooMany(
        `${this.#unsent.size} databases already wait to be looked up in the catalog`,
        database,
      )
    }
    const flight = { database, waiters: new Set<Waiter<Entry>>() }
    this.#flights.set(database, flight)
    this.#unsent.add(flight)
    return flight
  }

  #join(flight: Flight<Entry>, { client, deadline }: LookupOptions): Promise<Entry | undefined> {
    const { database, waiters } = flight
    const { maxWaiting, waitMs } = this.#limits
    if (client && waiters.size >= maxWaiting) {
      throw tooMany(
        `${waiters.size} calls already wait until ${database} is looked up in the catalog`,
        database,
      )
    }
    const { ms, error } = waitLimit(
      { waitMs, deadline },
      database,
      (limit) => `The catalog did not answer within ${limit} who owns the database ${database}`,
    )
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer)
        if (client) client.onGone = undefined
        waiters.delete(waiter)
      }
      const waiter: Waiter<Entry> = {
        resolve: (entry) => {
          settle()
          resolve(entry)
        },
        reject: (reason) => {
          settle()
          reject(reason)
        },
      }
      const leave = (reason: GatewayError) => {
        waiter.reject(reason)
        if (waiters.size === 0 && this.#unsent.delete(flight)) this.#flights.delete(database)
      }
      const timer = setTimeout(() => leave(error()), ms)
      if (client) client.onGone = () => leave(clientGone(database))
      waiters.add(waiter)
    })
  }

  /** Starts queries for the waiting names, up to MAX_QUERIES at once. */
  #send(): void {
    while (this.#unsent.size > 0 && this.#queries < MAX_QUERIES) {
      const flights = [...this.#unsent].slice(0, MAX_NAMES)
      for (const flight of flights) this.#unsent.delete(flight)
      this.#queries++
      this.#ask(flights).finally(() => {
        this.#queries--
        this.#send()
      })
    }
  }

  /** Runs one query and settles its waiters. Never rejects: a failure rejects the waiters. */
  async #ask(flights: Flight<Entry>[]): Promise<void> {
    try {
      const entries = await this.#read(flights.map(({ database }) => database))
      const byName = new Map(entries.map((entry) => [this.#nameOf(entry), entry]))
      for (const flight of flights) {
        const entry = byName.get(flight.database)
        const mayRemember = this.#endFlight(flight) && (entry || !this.#isDeaf)
        if (mayRemember) this.#remember(flight.database, entry ?? null)
        for (const waiter of [...flight.waiters]) waiter.resolve(entry)
      }
    } catch (error) {
      for (const flight of flights) {
        this.#endFlight(flight)
        for (const waiter of [...flight.waiters]) waiter.reject(error)
      }
    }
  }

  /** Ends a look-up. Returns false if its name was forgotten after the query was sent. */
  #endFlight(flight: Flight<Entry>): boolean {
    if (this.#flights.get(flight.database) !== flight) return false
    return this.#flights.delete(flight.database)
  }

  #remember(database: string, entry: Entry | null): void {
    this.#remembered.delete(database)
    this.#remembered.set(database, entry)
    if (this.#remembered.size <= MAX_REMEMBERED) return
    for (const oldest of this.#remembered.keys()) {
      this.#remembered.delete(oldest)
      return
    }
  }
}

function tooMany(message: string, database: string): GatewayError {
  return new GatewayError('pool_exhausted', message, { database })
}
