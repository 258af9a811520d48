import { GatewayError } from '../errors.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { MovedAway } from '../tenancy/catalog/moved-away.ts'
import { databaseName, type Owner } from '../tenancy/names.ts'
import { MAIN_SERVER } from './parse-servers.ts'
import type { Placements } from './placements.ts'
import type { WrittenBefore } from './written.ts'

/** What `Servers` needs of the parts of a server. */
interface Member {
  catalog: {
    has(platform: string): Promise<boolean>
    locate(owner: Owner): Promise<string>
    use<T>(work: (sql: Sql) => Promise<T>): Promise<T>
  }
  writtenBefore: WrittenBefore
}

/** Why a server has no parts that SERVERS does not name, as a predicate. */
const NOT_NAMED = 'is not in SERVERS'

/** Moves that a request follows. */
const MAX_MOVES = 4

/** A PostgreSQL server of SERVERS. */
export interface ServerEntry<G> {
  name: string
  /** Parts of the gateway that work with this server; undefined until it has answered. */
  parts: G | undefined
  /** Why there are no parts yet, as a predicate: `does not answer (ECONNREFUSED)`. */
  trouble: string | undefined
  /** Since when it has parts, or has none: milliseconds since 1970. */
  since: number
}

/**
 * The PostgreSQL servers of a gateway: that of DATABASE_URL, called `main`, and those of SERVERS. Each
 * has a catalog of the databases that are on it; the catalog of `main` also says which databases are
 * elsewhere (`Placements`). G is what a gateway has of a server, which this folder need not know.
 */
export class Servers<G extends Member> {
  readonly placements: Placements
  readonly #main: G
  readonly #entries = new Map<string, ServerEntry<G>>()
  /** Servers that have databases but are not in SERVERS, and since when that is known. */
  readonly #lacking = new Map<string, number>()

  constructor(main: G, placements: Placements, others: Iterable<string>) {
    this.#main = main
    this.placements = placements
    const since = Date.now()
    this.#entries.set(MAIN_SERVER, { name: MAIN_SERVER, parts: main, trouble: undefined, since })
    for (const name of others) {
      this.#entries.set(name, { name, parts: undefined, trouble: 'has not answered yet', since })
    }
  }

  /**
   * Whether there are others than `main`: in SERVERS, or with databases that other gateways have placed
   * there, where this one lacks them.
   */
  get areSeveral(): boolean {
    return this.#entries.size > 1 || this.placements.haveAny
  }

  /** Names of all servers of SERVERS, `main` first. */
  names(): string[] {
    return [...this.#entries.keys()]
  }

  /**
   * All servers, `main` first, with those that have not answered yet, and those that have databases but
   * are not in SERVERS: they count as away.
   */
  entries(): ServerEntry<G>[] {
    const all = [...this.#entries.values()]
    for (const name of this.placements.servers()) {
      if (!this.#entries.has(name)) all.push({ name, parts: undefined, ...this.#noteLacking(name) })
    }
    return all
  }

  #noteLacking(name: string) {
    const since = this.#lacking.get(name) ?? Date.now()
    this.#lacking.set(name, since)
    return { trouble: NOT_NAMED, since }
  }

  /**
   * Returns the name that a field of a request gives, if a server has it.
   * @throws {GatewayError} invalid_request, naming the field and the servers
   */
  checkName(field: string, name: string): string {
    if (this.#entries.has(name)) return name
    throw new GatewayError(
      'invalid_request',
      `${field} must be one of ${this.names().join(', ')}; got ${JSON.stringify(name.slice(0, 80))}`,
    )
  }

  /** Name of the server that these parts are for. */
  nameOf(parts: G): string {
    return this.entries().find((entry) => entry.parts === parts)!.name
  }

  /** Parts of all servers that have answered since the start, `main` first. */
  open(): G[] {
    return this.entries().flatMap(({ parts }) => parts ?? [])
  }

  /** Notes the parts of a server that has answered. */
  note(name: string, parts: G): void {
    this.#entries.set(name, { name, parts, trouble: undefined, since: Date.now() })
  }

  /** Notes why a server has no parts yet. */
  noteTrouble(name: string, trouble: string): void {
    const since = this.#entries.get(name)?.since ?? Date.now()
    this.#entries.set(name, { name, parts: undefined, trouble, since })
  }

  /**
   * Returns the parts of a server.
   * @throws {GatewayError} connection_failed if SERVERS does not name it, or it has not answered yet
   */
  named(name: string): G {
    const entry = this.#entries.get(name)
    if (entry?.parts) return entry.parts
    throw new GatewayError('connection_failed', `Server ${name} ${entry?.trouble ?? NOT_NAMED}`, {
      server: name,
    })
  }

  /**
   * Returns the server that the owner's own database is placed on: `main` if it is on no other, or
   * does not exist.
   * @throws {GatewayError} as `named`
   */
  of(owner: Owner): G {
    if (!this.areSeveral) return this.#main
    const name = this.placements.of(databaseName(owner))
    return name === undefined ? this.#main : this.named(name)
  }

  /**
   * Runs `work` with the server that has a database for the owner: the one that its own database is
   * placed on, or `main`, then those of the other names that the request may mean. Synchronous where
   * `work` is.
   * @throws {GatewayError} as `named`, and what `work` throws on the first server, which says
   *   database_not_found where no other has a database for the owner
   */
  find<T>(owner: Owner, work: (there: G) => T | Promise<T>): T | Promise<T> {
    const first = this.of(owner)
    const found = work(first)
    if (!this.areSeveral || !(found instanceof Promise)) return found
    return found.catch((error) => this.#findElsewhere(owner, first, error, work))
  }

  async #findElsewhere<T>(
    owner: Owner,
    first: G,
    error: unknown,
    work: (there: G) => T | Promise<T>,
  ): Promise<T> {
    if (error instanceof MovedAway) return this.follow(error, work)
    if (!isNotFound(error)) throw error
    await first.writtenBefore.beSure(databaseName(owner))
    const tried = new Set([first])
    for (const name of namesFor(owner)) {
      const server = await this.placements.find(name)
      const there = server === undefined ? this.#main : this.named(server)
      if (tried.has(there)) continue
      tried.add(there)
      try {
        return await work(there)
      } catch (other) {
        if (!isNotFound(other)) throw other
        await there.writtenBefore.beSure(name)
      }
    }
    // What is told of the request is told by the server that was asked first.
    return work(first)
  }

  /** Runs `work` with the server that a database was moved to. */
  async follow<T>(moved: MovedAway, work: (there: G) => T | Promise<T>): Promise<T> {
    for (let { database, server } = moved, times = 1; ; times++) {
      // This gateway has not heard of the move yet.
      await this.placements.look(database).catch(() => {})
      try {
        return await work(this.named(server))
      } catch (error) {
        if (!(error instanceof MovedAway) || times === MAX_MOVES) throw error
        ;({ database, server } = error)
      }
    }
  }

  /**
   * Returns the server that has a database for the owner; `main` if none has.
   * @throws {GatewayError} as `named`, and the errors of `Catalog.locate` but database_not_found
   */
  async holding(owner: Owner): Promise<G> {
    if (!this.areSeveral) return this.#main
    if (this.placements.of(databaseName(owner)) !== undefined) return this.of(owner)
    try {
      return await this.find(owner, (there) => there.catalog.locate(owner).then(() => there))
    } catch (error) {
      if (isNotFound(error)) return this.#main
      throw error
    }
  }

  /**
   * Returns the servers that have, or may have, databases of a platform, `main` first.
   * @throws {GatewayError} as `named`
   */
  ofPlatform(platform: string): G[] {
    if (!this.areSeveral) return [this.#main]
    const names = this.placements.serversOf(platform)
    return [this.#main, ...names.map((name) => this.named(name))]
  }
}

/** Names of databases that a request for an owner may mean, its own first (`Catalog.resolve`). */
function namesFor(owner: Owner): string[] {
  const own = databaseName(owner)
  return owner.schema === null ? [own] : [own, databaseName({ ...owner, schema: null })]
}

export function isNotFound(error: unknown): boolean {
  return error instanceof GatewayError && error.code === 'database_not_found'
}
