import { GatewayError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { inTransaction } from '../postgres/transaction.ts'
import { MovedAway, readMoved } from '../tenancy/catalog/moved-away.ts'
import { databaseLock } from '../tenancy/database-lock.ts'
import { databaseName, type Owner } from '../tenancy/names.ts'
import { describeOwner } from '../tenancy/owner-identity.ts'
import { MAIN_SERVER } from './parse-servers.ts'
import type { Placements } from './placements.ts'

/** Runs work in the catalog of a server. */
type Use = <T>(work: (sql: Sql) => Promise<T>) => Promise<T>

/** What `Places` need of the servers. */
export interface OneOfServers {
  /** Name of the server. */
  name: string
  placements: Placements
}

/**
 * The places of the databases of one server, for what makes and drops them. A database is placed before
 * it is made, and the place is given up after it is dropped, both under the lock of its name on its
 * server, so that no name is on two servers.
 */
export class Places {
  readonly #server: () => OneOfServers
  readonly #use: Use
  readonly #log: Log

  /** @param use runs work in the catalog of this server */
  constructor(server: () => OneOfServers, use: Use, log: Log) {
    this.#server = server
    this.#use = use
    this.#log = log
  }

  /**
   * Records that the owner's database is about to be made on this server.
   * @param admin session that holds the lock of its name
   * @throws {GatewayError} name_conflict if it is on another server
   */
  async take(admin: Sql, owner: Owner): Promise<void> {
    const { name, placements } = this.#server()
    const database = databaseName(owner)
    // Also where SERVERS names none: another gateway may have others.
    const there =
      name === MAIN_SERVER
        ? await placements.readWith(admin, database)
        : await placements.place(owner, name)
    if (there === name) return
    await placements.look(database)
    throw isElsewhere(owner, there)
  }

  /**
   * Gives up the place of a database that the catalog of this server does not have. Never rejects.
   * @param admin session that holds the lock of its name
   */
  async leave(admin: Sql, database: string): Promise<void> {
    const { name, placements } = this.#server()
    if (name === MAIN_SERVER) return
    try {
      const rows = await admin`select from _db_gateway_databases where database = ${database}`
      if (rows.length === 0) await placements.forget(database, name)
    } catch (error) {
      // It does no harm: the next request for the name finds that there is no database.
      const cause = (error as Error).message
      this.#log.warn('The place of a database could not be given up', { database, cause })
    }
  }

  /**
   * Checks that a database which the catalog of this server does not have was not moved away a moment
   * ago, while a request waited for the lock of its name.
   * @param admin session that holds the lock
   * @throws {MovedAway}
   */
  async checkNotMoved(admin: Sql, owner: Owner): Promise<void> {
    const { name, placements } = this.#server()
    const moved = await readMoved(admin, owner)
    if (!moved) return
    const { database, movedTo } = moved
    const there =
      name === MAIN_SERVER
        ? await placements.readWith(admin, database)
        : ((await placements.look(database)) ?? MAIN_SERVER)
    // It may have been dropped there since.
    if (there === movedTo) throw new MovedAway(owner, database, there)
  }

  /** As `leave`, without the lock, unless another session holds it. */
  async leaveUnmade(database: string): Promise<void> {
    if (this.#server().name === MAIN_SERVER) return
    const work = (sql: Sql) =>
      inTransaction(sql, async () => {
        const [row] = await sql<[{ is_free: boolean }]>`
          select pg_try_advisory_xact_lock(${databaseLock(sql, database)}) as is_free
        `
        if (row.is_free) await this.leave(sql, database)
      })
    await this.#use(work).catch((error: Error) =>
      this.#log.debug(`The place of ${database} is not given up: ${error.message}`),
    )
  }
}

/** Returns the error for a database that is on another server than the one that was asked for. */
export function isElsewhere(owner: Owner, server: string): GatewayError {
  return new GatewayError('name_conflict', `${describeOwner(owner)} is on the server ${server}`, {
    database: databaseName(owner),
    server,
    hint: 'POST /admin/move-tenant moves a tenant to another server',
  })
}
