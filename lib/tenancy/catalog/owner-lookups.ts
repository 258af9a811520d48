import { GatewayError } from '../../errors.ts'
import { type Client, clientGone, waitLimit } from '../../postgres/pools/waiter.ts'

/** How a look-up waits. */
export interface LookupOptions {
  /** Undefined for work of the gateway's own, which waits however long the queue is. */
  client?: Client | undefined
  /** `performance.now()` when the call's own time is up. */
  deadline?: number | undefined
  /** Asks PostgreSQL whatever is remembered, or asked already. */
  anew?: boolean
}

export interface LookupLimits {
  /** Names that may wait to be asked for, and clients that may wait for one name. */
  maxWaiting: number
  /** Milliseconds that a client waits for an answer. */
  waitMs: number
}

interface Waiter<Entry> {
  resolve: (entry: Entry | undefined) => void
  reject: (error: unknown) => void
}

/** One name that is asked for, and who waits for the answer. */
interface Flight<Entry> {
  database: string
  waiters: Set<Waiter<Entry>>
}

/** Queries under way at once. */
const MAX_QUERIES = 2

/** Names in one query. */
const MAX_NAMES = 1000

/** Answers that are remembered; the one that was used longest ago goes first. */
const MAX_REMEMBERED = 10_000

/**
 * Looks names, of databases or platforms, up in the catalog. Look-ups of one name share one answer; names that
 * wait go into one query. What was found is remembered until `forget`, that there is no such
 * name too.
 */
export class OwnerLookups<Entry> {
  readonly #read: (names: string[]) => Promise<Entry[]>
  readonly #nameOf: (entry: Entry) => string
  readonly #limits: LookupLimits
  /** Null: there is no such database. The one that was used longest ago comes first. */
  readonly #remembered = new Map<string, Entry | null>()
  /** Those whose answer may be remembered, and may be shared with who comes next. */
  readonly #flights = new Map<string, Flight<Entry>>()
  /** Those of them that are not sent yet. */
  readonly #unsent = new Set<Flight<Entry>>()
  #queries = 0
  #isDeaf = false

  /** `read` gives the entries that have these names, `nameOf` the name of one. */
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
   * The entry that has this name; undefined where there is none.
   * @throws {GatewayError} pool_exhausted where too many wait, nothing comes within `waitMs`, or the
   *   client goes away; query_timeout at the deadline; what `read` throws
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

  /** Whether the entry, which `find` gave, is remembered. */
  remembers(entry: Entry): boolean {
    return this.#remembered.get(this.#nameOf(entry)) === entry
  }

  /** Whether it is remembered that no database has this name. */
  isAbsent(database: string): boolean {
    return this.#remembered.get(database) === null
  }

  /** Forgets a name: what is being read about it now is not remembered either. */
  forget(database: string): void {
    this.#remembered.delete(database)
    const flight = this.#flights.get(database)
    if (flight && !this.#unsent.has(flight)) this.#flights.delete(database)
  }

  /** Forgets all names. From now on changes of the catalog are heard of. */
  forgetAll(): void {
    for (const database of [...this.#remembered.keys(), ...this.#flights.keys()]) {
      this.forget(database)
    }
    this.#isDeaf = false
  }

  /** Remembers no absence until `forgetAll`: changes of the catalog are not heard of. */
  stopRememberingAbsence(): void {
    this.forgetAll()
    this.#isDeaf = true
  }

  #newFlight(database: string, client: Client | undefined): Flight<Entry> {
    if (client && this.#unsent.size >= this.#limits.maxWaiting) {
      throw tooMany(`${this.#unsent.size} databases wait to be looked up already`, database)
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
      throw tooMany(`${waiters.size} calls wait until ${database} is looked up already`, database)
    }
    const { ms, error } = waitLimit(
      { waitMs, deadline },
      database,
      (limit) => `The catalog did not say within ${limit} whose database ${database} is`,
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

  /** Asks for the names that wait, as far as queries may be under way. */
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

  /** Never throws: the waiters are told. */
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

  /** False where its name was forgotten since it was sent. */
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
