import { Hosts } from '../hosts/hosts.ts'
import type { Server } from '../hosts/server.ts'
import { fit } from './call-share.ts'
import type { Connection, Sql } from './connection.ts'
import { endPool, endSupply } from './end-supply.ts'
import { type Ask, giveUpWhenSilent } from './give-up.ts'
import type { Lease } from './lease.ts'
import { type Need, needOf, type OnSession } from './need.ts'
import { type CredentialsOf, countClosing, type PlatformOf } from './pool.ts'
import { type PoolsReport, reportOf } from './pool-report.ts'
import { keepPermits } from './reserve.ts'
import { cutSilentSessions } from './silence.ts'
import { ConnectionSupply } from './supply.ts'
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
 * The pools of all databases under one budget. Each open socket holds a permit, so that at most
 * `maxTotalConnections` connections are open. If no permit is free, the idle connection that is
 * wanted least, of any database, is closed for the database that needs one: see `Demand`. If none is
 * idle, the database waits in order for the next one that is released. The same rules apply within each
 * platform to `maxConnectionsPerPlatform`.
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
  #endGivingUp: (() => void) | undefined
  /** Called when another host has become the primary. */
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
    this.#hosts.watch()
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

  /** Reports on each database that was used since the start, and on the totals. */
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

  /** Number of requests that got no connection, since the start. */
  get exhausted(): number {
    return this.#supply.counters.totals.exhausted
  }

  /** Current limit of open connections. */
  get capacity(): number {
    return this.#supply.all.permits.capacity
  }

  /** Whether as many connections are open as may be. */
  get isFull(): boolean {
    return !this.#supply.all.hasCapacity
  }

  /**
   * Calls `tell` when somebody begins to wait for a connection, and when one was closed; `onSession` when
   * a session has begun or ended. Returns a function that tells what is needed.
   */
  watchNeed(tell: () => void, onSession?: OnSession): () => Need {
    Object.assign(this.#supply, { onNeed: tell, onSession })
    return () => needOf(this.#supply, this.#taking.limits.maxConnectionsPerPool)
  }

  /**
   * Sets the limit of open connections. If too many are open, idle ones are closed at once, those
   * wanted least first, and busy ones when they are released.
   */
  setCapacity(connections: number): void {
    this.#supply.all.permits.capacity = connections
    while (this.#supply.all.isOverdrawn) {
      const { leastWanted } = this.#supply.all
      if (!leastWanted) break
      this.#supply.retire(leastWanted)
    }
    this.#supply.feed(this.#supply.all)
  }

  /**
   * Milliseconds since PostgreSQL last answered on any connection. Infinity before the first
   * answer, and from the loss of a connection to the next answer.
   */
  sinceLastAnswer(): number {
    return performance.now() - this.#supply.lastAnswerAt
  }

  /**
   * Leases a connection for the gateway's own SQL. A client that disconnects leaves the queue.
   * @throws {GatewayError} pool_exhausted if no connection becomes free within `waitMs`, if the
   *   queue is full for a client, or if the client disconnects; query_timeout if none becomes free
   *   before the deadline
   */
  async lease(database: string, options: LeaseOptions = {}): Promise<Lease> {
    return takeLease(this.#taking, database, 'sql', options)
  }

  /**
   * Leases a connection with a call session, exclusively.
   * @throws {GatewayError} as `lease`
   */
  leaseSession(database: string, options: LeaseOptions = {}): Lease | Promise<Lease> {
    return takeLease(this.#taking, database, 'wire', options)
  }

  /** Returns whether the database has a connection that is not being closed. */
  isOpen(database: string): boolean {
    const pool = this.#supply.pools.get(database)
    return (
      pool !== undefined && countClosing(pool, this.#supply.all.closing) < pool.connections.size
    )
  }

  /**
   * Leases a connection for a quick call, shared with other quick calls: pipelining their queries
   * saves most of the cost of a query. Returns at once if a shared connection has time left or one
   * is idle; otherwise the call queues.
   * @throws {GatewayError} as `lease`
   */
  share(
    database: string,
    expectedMs: number,
    options: Omit<LeaseOptions, 'fresh'> = {},
  ): Lease | Promise<Lease> {
    return shareLease(this.#taking, database, expectedMs, options)
  }

  /**
   * Runs `work` with a leased connection and releases it afterwards.
   * @throws {GatewayError} as `lease`; and what `work` throws
   */
  use<T>(database: string, work: (sql: Sql) => Promise<T>, options?: LeaseOptions): Promise<T> {
    return this.useLease(database, ({ sql }) => work(sql), options)
  }

  /** As `use`, for work that needs more of the connection than its client. */
  async useLease<T>(
    database: string,
    work: (lease: Lease) => Promise<T>,
    options?: LeaseOptions,
  ): Promise<T> {
    const lease = await this.lease(database, options)
    try {
      const result = await work(lease)
      lease.release()
      return result
    } catch (error) {
      lease.release(error)
      throw error
    }
  }

  /**
   * Opens a permanent connection, such as for LISTEN, as the gateway's role or as the role of
   * calls. It holds a permit but does not count in the limit of its database. The caller closes it,
   * even after `end`.
   * @throws {GatewayError} pool_exhausted if no permit becomes free within `waitMs`
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

  /**
   * Takes the permit of a connection that another program opens, such as pg_dump, and returns a
   * function that gives it back. Connects first as the role of calls, so that the role's valid
   * password is known, and runs `look` there.
   * @throws {GatewayError} as `keep`; and what `look` throws
   */
  async reserve(
    database: string,
    look: (sql: Sql) => Promise<void>,
    waitMs?: number,
  ): Promise<() => void> {
    const pool = this.#supply.newPool(database, () => this.#credentialsOf(database))
    this.#supply.kept.add(pool)
    const { connection } = await wait(this.#taking, pool, 'sql', { waitMs })
    return keepPermits(this.#supply, pool, connection, look)
  }

  /** Makes later work in a database use new connections: closes idle ones now, busy ones later. */
  renew(database: string): void {
    const pool = this.#supply.pools.get(database)
    if (!pool) return
    for (const connection of pool.connections) connection.isSpent = true
    for (const connection of [...pool.idle]) this.#supply.retire(connection)
  }

  /** As `renew`, in all databases. */
  renewAll(): void {
    for (const database of this.#supply.pools.keys()) this.renew(database)
  }

  /** Adapts the connections to a database to a changed limit (`mostForCalls`). */
  fit(database: string): void {
    const pool = this.#supply.pools.get(database)
    if (pool) fit(this.#supply, pool)
  }

  /** Does the same as `renew` before a deploy terminates the sessions that do not end by themselves. */
  retire(database: string): void {
    const now = performance.now()
    for (const connection of this.#supply.pools.get(database)?.connections ?? []) {
      connection.retiredAt = now
    }
    this.renew(database)
  }

  /** Closes all connections to a database and removes its pool, before the database is dropped. */
  async closeDatabase(database: string): Promise<void> {
    this.forgetCounters(database)
    await endPool(this.#supply, database)
  }

  /** Drops the counters of a database that is gone. */
  forgetCounters(database: string): void {
    this.#supply.counters.forget(database)
  }

  /** Gives PostgreSQL up within 2 s while it is silent: see `giveUpWhenSilent`. */
  giveUpWhenSilent(ask: Ask): void {
    this.#endGivingUp = giveUpWhenSilent(this.#supply, ask)
  }

  /** Closes the idle connections and cuts those in use, whose queries fail. */
  async end(): Promise<void> {
    clearInterval(this.#sweeper)
    this.#endSilenceWatch()
    this.#endGivingUp?.()
    this.#hosts.end()
    await endSupply(this.#supply)
  }
}
