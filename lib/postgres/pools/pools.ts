import { GatewayError } from '../../errors.ts'
import { Hosts } from '../hosts/hosts.ts'
import type { Server } from '../hosts/server.ts'
import type { Connection, Sql } from './connection.ts'
import { stopStarving } from './give-back.ts'
import type { Lease } from './lease.ts'
import { type PoolsReport, reportOf } from './pool-report.ts'
import { cutSilentSessions } from './silence.ts'
import { ConnectionSupply, type CredentialsOf, type PlatformOf } from './supply.ts'
import { type LeaseOptions, type PoolLimits, shareLease, takeLease, wait } from './take-lease.ts'
import type { Client } from './waiter.ts'

export type { Client, CredentialsOf, LeaseOptions, PlatformOf, PoolLimits }

export interface PoolsStatus {
  pools: number
  connections: number
  waiting: number
}

const LONGEST_SWEEP_MS = 30_000

/**
 * The pools of all databases under one budget. A permit is an open socket, so the sum of open
 * connections never passes `maxTotalConnections`. A database that needs a connection when no
 * permit is free gets the permit of the connection that has been idle longest, of whatever
 * database; where none is idle it waits, in order, for the next that is given back. The same holds
 * within each platform for `maxConnectionsPerPlatform`.
 */
export class Pools {
  readonly #server: Server
  readonly #hosts: Hosts
  readonly #taking: { supply: ConnectionSupply; limits: PoolLimits }
  readonly #supply: ConnectionSupply
  readonly #credentialsOf: CredentialsOf
  readonly #platformOf: PlatformOf
  readonly #sweeper: NodeJS.Timeout
  readonly #endSilenceWatch: () => void
  /** Told when the primary is another one of the server's hosts. */
  onMoved: ((from: Server, to: Server) => void) | undefined

  constructor(
    server: Server,
    limits: PoolLimits,
    platformOf: PlatformOf = () => undefined,
    credentialsOf: CredentialsOf = () => undefined,
  ) {
    this.#server = server
    this.#hosts = new Hosts(server)
    this.#hosts.onMoved = (from, to) => {
      this.#supply.cutAllBut(to)
      this.onMoved?.(from, to)
    }
    this.#platformOf = platformOf
    this.#credentialsOf = credentialsOf
    this.#supply = new ConnectionSupply({
      server,
      hosts: this.#hosts,
      limits,
      platformOf,
      credentialsOf,
    })
    this.#taking = { supply: this.#supply, limits }
    const shortest = Math.min(limits.poolIdleTimeoutMs, limits.poolMaxLifetimeMs)
    const every = Math.min(LONGEST_SWEEP_MS, Math.ceil(shortest / 4))
    this.#sweeper = setInterval(() => this.#supply.sweep(), every).unref()
    const open = () => this.#supply.connections()
    this.#endSilenceWatch = cutSilentSessions(open, limits.statementTimeoutMs)
  }

  get server(): Server {
    return this.#server
  }

  status(): PoolsStatus {
    let waiting = 0
    for (const pool of this.#supply.pools.values()) waiting += pool.waiters.size
    return { pools: this.#supply.pools.size, connections: this.#supply.all.permits.held, waiting }
  }

  /** Each database that was used since the start, and what all come to. */
  report(): PoolsReport {
    const { held, capacity } = this.#supply.all.permits
    return {
      pools: this.#supply.counters.entries().map(([database, counters]) => {
        const pool = this.#supply.pools.get(database)
        return reportOf(database, pool?.platform ?? this.#platformOf(database), pool, counters)
      }),
      permits: { held, capacity },
      totals: { ...this.#supply.counters.totals },
    }
  }

  /** As many connections there may be just now. */
  get capacity(): number {
    return this.#supply.all.permits.capacity
  }

  /**
   * From now on at most so many connections are open. Of those that are too many the idle ones are
   * closed at once, the others when they are given back.
   */
  setCapacity(connections: number): void {
    this.#supply.all.permits.capacity = connections
    for (const connection of this.#supply.all.idle) {
      if (!this.#supply.all.isOverdrawn) break
      this.#supply.retire(connection)
    }
    this.#supply.feed(this.#supply.all)
  }

  /**
   * Milliseconds since PostgreSQL last answered on any connection; Infinity before the first, and
   * after a connection was lost until PostgreSQL answers on another.
   */
  sinceLastAnswer(): number {
    return performance.now() - this.#supply.lastAnswerAt
  }

  /**
   * A connection to the database for one piece of the gateway's own SQL, at once where one is idle.
   * A client that goes away leaves the queue.
   * @throws {GatewayError} pool_exhausted when none becomes free within `waitMs`, and at once for a
   *   client that finds the queue full or has gone away; query_timeout when none does before the deadline
   */
  async lease(database: string, options: LeaseOptions = {}): Promise<Lease> {
    return takeLease(this.#taking, database, 'sql', options)
  }

  /**
   * The same, a session for calls, which nothing else uses meanwhile.
   * @throws {GatewayError} pool_exhausted, as of `lease`
   */
  leaseSession(database: string, options: LeaseOptions = {}): Lease | Promise<Lease> {
    return takeLease(this.#taking, database, 'wire', options)
  }

  /**
   * A connection for a call that is known to be quick, beside others of its kind: their queries
   * go out and come back together, which saves most of what a query costs. At once where there is
   * room or an idle connection; in order behind those who wait.
   * @throws {GatewayError} pool_exhausted and query_timeout, as of `lease`
   */
  share(
    database: string,
    expectedMs: number,
    options: Omit<LeaseOptions, 'fresh'> = {},
  ): Lease | Promise<Lease> {
    return shareLease(this.#taking, database, expectedMs, options)
  }

  /**
   * Runs `work` with a connection of its own and gives it back whatever happens.
   * @throws {GatewayError} pool_exhausted when no connection becomes free in time
   */
  async use<T>(
    database: string,
    work: (sql: Sql) => Promise<T>,
    options?: LeaseOptions,
  ): Promise<T> {
    const lease = await this.lease(database, options)
    try {
      const result = await work(lease.sql)
      lease.release()
      return result
    } catch (error) {
      lease.release(error)
      throw error
    }
  }

  /**
   * Opens a connection that is kept, such as one that listens: of the gateway's own role, or of the
   * role that calls have. It holds a permit and counts under the limit of no database; who keeps it
   * closes it, after `end` too.
   * @throws {GatewayError} pool_exhausted when no permit becomes free within `waitMs`
   */
  async keep(
    database: string,
    waitMs?: number,
    as: 'gateway' | 'caller' = 'gateway',
  ): Promise<Connection> {
    const credentials = () => (as === 'caller' ? this.#credentialsOf(database) : undefined)
    const pool = this.#supply.newPool(database, credentials)
    this.#supply.kept.add(pool)
    return (await wait(this.#taking, pool, 'sql', { waitMs })).connection
  }

  /** From now on work in the database begins on new connections: those that are open see no more of it. */
  renew(database: string): void {
    const pool = this.#supply.pools.get(database)
    if (!pool) return
    for (const connection of pool.connections) connection.isSpent = true
    for (const connection of [...pool.idle]) this.#supply.retire(connection)
  }

  /** The same, for a deploy that ends the sessions that do not end by themselves. */
  retire(database: string): void {
    const now = performance.now()
    for (const connection of this.#supply.pools.get(database)?.connections ?? []) {
      connection.retiredAt = now
    }
    this.renew(database)
  }

  /** Closes every connection to a database and lets its pool go, before the database is dropped. */
  async closeDatabase(database: string): Promise<void> {
    const pool = this.#supply.pools.get(database)
    if (!pool) return
    this.#supply.pools.delete(database)
    this.#supply.counters.forget(database)
    stopStarving(pool)
    pool.closing = true
    for (const waiter of pool.waiters) {
      pool.waiters.delete(waiter)
      waiter.reject(new GatewayError('database_not_found', `Database ${database} is gone`))
    }
    await Promise.all([...pool.idle].map((connection) => this.#supply.retire(connection)))
  }

  /** Closes the idle connections and cuts those in use: their queries fail. */
  async end(): Promise<void> {
    this.#supply.isEnded = true
    clearInterval(this.#sweeper)
    this.#endSilenceWatch()
    const connections = [...this.#supply.pools.values()].flatMap((pool) => [...pool.connections])
    for (const pool of this.#supply.pools.values()) {
      for (const waiter of pool.waiters) {
        waiter.reject(new GatewayError('connection_failed', 'The gateway is stopping'))
      }
      pool.waiters.clear()
    }
    const idle = connections.filter((connection) => this.#supply.all.idle.has(connection))
    for (const connection of connections)
      if (!this.#supply.all.idle.has(connection)) connection.destroy()
    await Promise.all(idle.map((connection) => connection.close()))
  }
}
