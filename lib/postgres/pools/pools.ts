import { GatewayError } from '../../errors.ts'
import { endsConnection, isPostgresError } from '../errors.ts'
import { Hosts } from '../hosts/hosts.ts'
import type { Credentials, Server } from '../hosts/server.ts'
import { Budget, SLOW_OPENING_MS } from './budget.ts'
import { Connection, type Speaks, type Sql } from './connection.ts'
import type { Lease } from './lease.ts'
import { findRoom, firstFor, grant, hasHadItsTurn, leave, type Pool, takeIdle } from './pool.ts'
import { Counters, type PoolCounters } from './pool-counters.ts'
import { type PoolsReport, reportOf } from './pool-report.ts'
import { resetSession } from './reset.ts'
import { cutSilentSessions } from './silence.ts'
import {
  type Client,
  clientGone,
  enqueue,
  notAliveYet,
  queueFull,
  waitForShared,
} from './waiter.ts'

export type { Client }

export interface PoolLimits {
  maxConnectionsPerPool: number
  maxTotalConnections: number
  /** Of all databases of one platform together. */
  maxConnectionsPerPlatform: number
  /** Clients that may wait for a connection to one database. */
  maxQueuePerDatabase: number
  poolIdleTimeoutMs: number
  poolMaxLifetimeMs: number
  poolWaitTimeoutMs: number
  connectTimeoutMs: number
  statementTimeoutMs: number
}

export interface LeaseOptions {
  /** How long to wait for a connection; POOL_WAIT_TIMEOUT_SECS where it is not given. */
  waitMs?: number | undefined
  /** `performance.now()` when the work's own time is up: it waits no longer than that either. */
  deadline?: number | undefined
  /** Undefined for work of the gateway's own, which waits however long the queue is. */
  client?: Client | undefined
  /** None that has been idle: it may have died unnoticed, as another one did. */
  fresh?: boolean
}

export interface PoolsStatus {
  pools: number
  connections: number
  waiting: number
}

/** Whose database it is; undefined where that is not known. */
export type PlatformOf = (database: string) => string | undefined

/**
 * The role that works in a database; undefined: the server's own.
 * @throws {GatewayError} where nobody knows the database
 */
export type CredentialsOf = (database: string) => Credentials | undefined

const LONGEST_SWEEP_MS = 30_000

/** So much earlier, at most, a connection is as old as it may get: not all at the same time. */
const LIFETIME_JITTER = 0.25

/** A connection that was idle for longer is asked first whether it is still there. */
const FRESH_MS = 5000

/** Who does not answer that in time is gone. */
const CHECK_LIMIT_MS = 2000

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
  readonly #limits: PoolLimits
  readonly #platformOf: PlatformOf
  readonly #credentialsOf: CredentialsOf
  readonly #all: Budget<Pool>
  readonly #platforms = new Map<string, Budget<Pool>>()
  readonly #pools = new Map<string, Pool>()
  /** Those that `keep` opened, each in a pool of its own. */
  readonly #kept = new Set<Pool>()
  readonly #counters = new Counters()
  readonly #sweeper: NodeJS.Timeout
  readonly #endSilenceWatch: () => void
  #lastAnswerAt = Number.NEGATIVE_INFINITY
  #ended = false
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
      this.#cutAllBut(to)
      this.onMoved?.(from, to)
    }
    this.#limits = limits
    this.#platformOf = platformOf
    this.#credentialsOf = credentialsOf
    this.#all = new Budget(limits.maxTotalConnections)
    const shortest = Math.min(limits.poolIdleTimeoutMs, limits.poolMaxLifetimeMs)
    const every = Math.min(LONGEST_SWEEP_MS, Math.ceil(shortest / 4))
    this.#sweeper = setInterval(() => this.#sweep(), every).unref()
    const open = () => this.#connections()
    this.#endSilenceWatch = cutSilentSessions(open, limits.statementTimeoutMs)
  }

  get server(): Server {
    return this.#server
  }

  status(): PoolsStatus {
    let waiting = 0
    for (const pool of this.#pools.values()) waiting += pool.waiters.size
    return { pools: this.#pools.size, connections: this.#all.permits.held, waiting }
  }

  /** Each database that was used since the start, and what all come to. */
  report(): PoolsReport {
    const { held, capacity } = this.#all.permits
    return {
      pools: this.#counters.entries().map(([database, counters]) => {
        const pool = this.#pools.get(database)
        return reportOf(database, pool?.platform ?? this.#platformOf(database), pool, counters)
      }),
      permits: { held, capacity },
      totals: { ...this.#counters.totals },
    }
  }

  /** As many connections there may be just now. */
  get capacity(): number {
    return this.#all.permits.capacity
  }

  /**
   * From now on at most so many connections are open. Of those that are too many the idle ones are
   * closed at once, the others when they are given back.
   */
  setCapacity(connections: number): void {
    this.#all.permits.capacity = connections
    for (const connection of this.#all.idle) {
      if (!this.#all.isOverdrawn) break
      this.#retire(connection)
    }
    this.#feed(this.#all)
  }

  /**
   * Milliseconds since PostgreSQL last answered on any connection; Infinity before the first, and
   * after a connection was lost until PostgreSQL answers on another.
   */
  sinceLastAnswer(): number {
    return performance.now() - this.#lastAnswerAt
  }

  /**
   * A connection to the database for one piece of the gateway's own SQL, at once where one is idle.
   * A client that goes away leaves the queue.
   * @throws {GatewayError} pool_exhausted when none becomes free within `waitMs`, and at once for a
   *   client that finds the queue full or has gone away; query_timeout when none does before the deadline
   */
  async lease(database: string, options: LeaseOptions = {}): Promise<Lease> {
    return this.#lease(database, 'sql', options)
  }

  /**
   * The same, a session for calls, which nothing else uses meanwhile.
   * @throws {GatewayError} pool_exhausted, as of `lease`
   */
  leaseSession(database: string, options: LeaseOptions = {}): Lease | Promise<Lease> {
    return this.#lease(database, 'wire', options)
  }

  #lease(database: string, speaks: Speaks, options: LeaseOptions): Lease | Promise<Lease> {
    if (options.client?.isGone) throw clientGone(database)
    const pool = this.#pool(database)
    const connection = this.#takeIdle(pool, speaks)
    if (!connection) return this.#wait(pool, speaks, options)
    if (options.fresh) {
      // It makes room for one that is opened.
      this.#retire(connection)
      return this.#wait(pool, speaks, options)
    }
    if (isFresh(connection, connection.busySince)) return grant(pool, connection)
    return this.#check(pool, connection, options)
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
    if (options.client?.isGone) throw clientGone(database)
    const pool = this.#pool(database)
    const mayJoin = pool.waiters.size === 0 && !this.#all.isOverdrawn
    const shared = mayJoin ? findRoom(pool, expectedMs) : undefined
    if (shared) return grant(pool, shared, expectedMs)
    const connection = this.#takeIdle(pool, 'wire')
    if (!connection) return this.#wait(pool, 'wire', options, expectedMs)
    if (isFresh(connection, connection.busySince)) return grant(pool, connection, expectedMs)
    return this.#check(pool, connection, options, expectedMs)
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
    const pool = this.#newPool(database, credentials)
    this.#kept.add(pool)
    return (await this.#wait(pool, 'sql', { waitMs })).connection
  }

  /** From now on work in the database begins on new connections: those that are open see no more of it. */
  renew(database: string): void {
    const pool = this.#pools.get(database)
    if (!pool) return
    for (const connection of pool.connections) connection.isSpent = true
    for (const connection of [...pool.idle]) this.#retire(connection)
  }

  /** The same, for a deploy that ends the sessions that do not end by themselves. */
  retire(database: string): void {
    const now = performance.now()
    for (const connection of this.#pools.get(database)?.connections ?? []) {
      connection.retiredAt = now
    }
    this.renew(database)
  }

  /** Closes every connection to a database and lets its pool go, before the database is dropped. */
  async closeDatabase(database: string): Promise<void> {
    const pool = this.#pools.get(database)
    if (!pool) return
    this.#pools.delete(database)
    this.#counters.forget(database)
    this.#stopStarving(pool)
    pool.closing = true
    for (const waiter of pool.waiters) {
      pool.waiters.delete(waiter)
      waiter.reject(new GatewayError('database_not_found', `Database ${database} is gone`))
    }
    await Promise.all([...pool.idle].map((connection) => this.#retire(connection)))
  }

  /** Closes the idle connections and cuts those in use: their queries fail. */
  async end(): Promise<void> {
    this.#ended = true
    clearInterval(this.#sweeper)
    this.#endSilenceWatch()
    const connections = [...this.#pools.values()].flatMap((pool) => [...pool.connections])
    for (const pool of this.#pools.values()) {
      for (const waiter of pool.waiters) {
        waiter.reject(new GatewayError('connection_failed', 'The gateway is stopping'))
      }
      pool.waiters.clear()
    }
    const idle = connections.filter((connection) => this.#all.idle.has(connection))
    for (const connection of connections) if (!this.#all.idle.has(connection)) connection.destroy()
    await Promise.all(idle.map((connection) => connection.close()))
  }

  #pool(database: string): Pool {
    let pool = this.#pools.get(database)
    if (!pool) {
      // Before anybody waits for a connection that nobody could open.
      this.#credentialsOf(database)
      pool = this.#newPool(database, () => this.#credentialsOf(database))
      this.#pools.set(database, pool)
    }
    return pool
  }

  #newPool(database: string, credentials: () => Credentials | undefined): Pool {
    const platform = this.#platformOf(database)
    const pool: Pool = {
      database,
      platform,
      credentials,
      budgets: this.#budgetsOf(platform),
      connections: new Set(),
      idle: [],
      shared: [],
      waiters: new Set(),
      counters: this.#counters.of(database),
      closing: false,
      leaseEnd: {
        release: (lease, error) => this.#endLease(pool, lease, error),
        discard: async ({ connection, expectedMs }) => {
          connection.isSpent = true
          if (expectedMs === undefined || leave(pool, connection, expectedMs)) {
            await this.#retire(connection)
          }
        },
      },
    }
    return pool
  }

  #budgetsOf(platform: string | undefined): Budget<Pool>[] {
    const { maxConnectionsPerPlatform } = this.#limits
    if (platform === undefined || maxConnectionsPerPlatform === Infinity) return [this.#all]
    let budget = this.#platforms.get(platform)
    if (!budget) {
      budget = new Budget(maxConnectionsPerPlatform)
      this.#platforms.set(platform, budget)
    }
    return [budget, this.#all]
  }

  #count(pool: Pool, what: keyof PoolCounters): void {
    this.#counters.count(pool.counters, what)
  }

  #takeIdle(pool: Pool, speaks: Speaks): Connection | undefined {
    const connection = takeIdle(pool, speaks)
    if (!connection) return undefined
    for (const budget of pool.budgets) budget.idle.delete(connection)
    connection.busySince = performance.now()
    return connection
  }

  /**
   * Leases a connection that was idle for long, once it has shown that it is alive. Where it is
   * not, the others of its pool that are as old are not waited for, too.
   */
  async #check(
    pool: Pool,
    connection: Connection,
    options: LeaseOptions,
    expectedMs?: number,
  ): Promise<Lease> {
    const { client, deadline, waitMs = this.#limits.poolWaitTimeoutMs } = options
    const askedAt = performance.now()
    const asked = this.#isAlive(pool, connection)
    const isAlive = await waitForShared(asked, pool.database, options, notAliveYet).catch(
      (error) => {
        // The next one finds it alive.
        asked.then((answers) => answers && this.#release(pool, connection))
        throw error
      },
    )
    if (isAlive) return grant(pool, connection, expectedMs)
    const left = waitMs - (performance.now() - askedAt)
    // The pool has been let go if that was its last connection.
    const anew = this.#pool(pool.database)
    const again = { client, deadline, waitMs: Math.max(0, left) }
    return this.#wait(anew, connection.speaks, again, expectedMs)
  }

  async #isAlive(pool: Pool, connection: Connection): Promise<boolean> {
    if (await connection.answers(CHECK_LIMIT_MS)) return true
    connection.destroy()
    for (const other of [...pool.idle]) if (!isFresh(other, performance.now())) other.destroy()
    return false
  }

  #wait(pool: Pool, speaks: Speaks, options: LeaseOptions, expectedMs?: number): Promise<Lease> {
    const { client, deadline, waitMs = this.#limits.poolWaitTimeoutMs } = options
    if (this.#ended) {
      return Promise.reject(new GatewayError('connection_failed', 'The gateway is stopping'))
    }
    if (client && pool.waiters.size >= this.#limits.maxQueuePerDatabase) {
      this.#count(pool, 'exhausted')
      return Promise.reject(queueFull(pool))
    }
    const onLeft = (isTimeUp: boolean) => {
      if (isTimeUp) this.#count(pool, 'exhausted')
      this.#settle(pool)
    }
    const lease = enqueue(pool, { waitMs, deadline, speaks, client, expectedMs, onLeft })
    this.#grow(pool)
    return lease
  }

  /** Opens connections for the pool's waiters; where no permit is free, sees to it that one is. */
  #grow(pool: Pool): void {
    while (this.#growByOne(pool));
  }

  /** False where it needs no more, or has to wait for a permit. */
  #growByOne(pool: Pool): boolean {
    const [waiter] = pool.waiters
    const mayGrow = pool.connections.size < this.#limits.maxConnectionsPerPool
    if (!waiter || !mayGrow) {
      this.#stopStarving(pool)
      // One that speaks otherwise makes room.
      if (waiter && pool.idle.length > 0) this.#retire(pool.idle[0]!)
      this.#admit(pool)
      return false
    }
    const full = pool.budgets.find((budget) => !budget.hasRoom)
    if (!full) {
      this.#serve(pool, this.#open(pool, waiter.speaks))
      return true
    }
    for (const budget of pool.budgets) if (budget !== full) budget.starving.delete(pool)
    full.starving.add(pool)
    this.#evict(full)
    return false
  }

  /** Closes the connection that has been idle longest where others need its permit. */
  #evict(budget: Budget<Pool>): void {
    const { victim } = budget
    if (!victim) {
      if (budget.starving.size > 0 && budget.idle.size > 0) this.#evictLater(budget)
      return
    }
    const pool = this.#pools.get(victim.database)
    if (pool) this.#count(pool, 'evicted')
    this.#retire(victim)
  }

  #evictLater(budget: Budget<Pool>): void {
    budget.retry ??= setTimeout(() => {
      budget.retry = undefined
      if (!this.#ended) this.#evict(budget)
    }, SLOW_OPENING_MS).unref()
  }

  /** Closes a connection that nobody uses. */
  async #retire(connection: Connection): Promise<void> {
    this.#forgetIdle(connection)
    // One that is closed already does not say so again.
    if (!connection.closed) for (const budget of connection.budgets) budget.closing.add(connection)
    await connection.close().catch(() => {})
  }

  /** With the permits that are known to be there. */
  #open(pool: Pool, speaks: Speaks): Connection {
    const connection = new Connection(
      this.#server,
      {
        database: pool.database,
        speaks,
        credentials: pool.credentials(),
        route: this.#hosts,
        connectTimeoutMs: this.#limits.connectTimeoutMs,
        statementTimeoutMs: this.#limits.statementTimeoutMs,
      },
      () => this.#closed(pool, connection),
      () => this.#opened(pool, connection),
    )
    connection.budgets = pool.budgets
    connection.expiresAt = performance.now() + this.#lifetime()
    pool.connections.add(connection)
    this.#count(pool, 'opened')
    for (const budget of pool.budgets) {
      budget.permits.tryAcquire()
      budget.opening.add(connection)
    }
    return connection
  }

  #lifetime(): number {
    return this.#limits.poolMaxLifetimeMs * (1 - LIFETIME_JITTER * Math.random())
  }

  #opened(pool: Pool, connection: Connection): void {
    connection.busySince = performance.now()
    connection.answeredAt = connection.busySince
    this.#lastAnswerAt = connection.busySince
    for (const budget of pool.budgets) {
      budget.opening.delete(connection)
      this.#evict(budget)
    }
  }

  #closed(pool: Pool, connection: Connection): void {
    pool.connections.delete(connection)
    this.#count(pool, 'closed')
    this.#forgetIdle(connection)
    const isLost = !pool.budgets.some(({ closing }) => closing.has(connection))
    if (isLost) this.#lastAnswerAt = Number.NEGATIVE_INFINITY
    for (const budget of pool.budgets) {
      budget.opening.delete(connection)
      budget.closing.delete(connection)
      budget.permits.release()
    }
    if (!this.#ended) for (const budget of pool.budgets) this.#feed(budget)
    this.#grow(pool)
    this.#settle(pool)
  }

  /** Gives free permits to the pools that wait for one, one after the other. */
  #feed(budget: Budget<Pool>): void {
    while (budget.hasRoom) {
      const pool = budget.neediest()
      if (!pool) return
      if (!this.#growByOne(pool)) budget.starving.delete(pool)
    }
    this.#evict(budget)
  }

  #endLease(pool: Pool, { connection, expectedMs }: Lease, error: unknown): void {
    const isFree = expectedMs === undefined || leave(pool, connection, expectedMs)
    // After its last word the server closes the connection itself; its permit comes back then.
    if (isPostgresError(error) && endsConnection(error)) this.#retire(connection)
    else if (endsConnection(error)) connection.destroy()
    else if (isFree) this.#release(pool, connection)
    else if (pool.waiters.size > 0) this.#admit(pool)
  }

  /** Lets the quick calls that are first in the queue in where there is room. */
  #admit(pool: Pool): void {
    for (const { expectedMs } of pool.waiters) {
      const connection = expectedMs === undefined ? undefined : findRoom(pool, expectedMs)
      if (!connection) return
      this.#serve(pool, connection)
    }
  }

  #release(pool: Pool, connection: Connection): void {
    if (connection.closed) return
    const now = performance.now()
    this.#lastAnswerAt = now
    const isSpent = connection.isSpent || connection.isUnfit
    const isOver = isSpent || connection.expiresAt <= now || this.#all.isOverdrawn
    if (this.#ended || pool.closing || isOver) {
      this.#retire(connection)
    } else if (connection.needsReset) {
      this.#reset(pool, connection)
    } else if (this.#mustGiveWay(pool, connection, now)) {
      this.#giveWay(pool, connection)
    } else if (this.#serve(pool, connection)) {
      this.#admit(pool)
    } else if (pool.waiters.size > 0) {
      // Those who wait need one that speaks otherwise.
      this.#retire(connection)
    } else {
      connection.idleSince = now
      pool.idle.push(connection)
      for (const budget of pool.budgets) {
        budget.idle.add(connection)
        if (budget.starving.size > 0) this.#evict(budget)
      }
    }
  }

  /** Nobody uses the connection before its session is what it was, or at all where that fails. */
  async #reset(pool: Pool, connection: Connection): Promise<void> {
    if (!(await resetSession(connection))) connection.destroy()
    this.#release(pool, connection)
  }

  /**
   * Whether a connection that `pool` gives back, and has work for, goes to another database: to one
   * that has fewer of them, or to one that has none where this one has had its turn.
   */
  #mustGiveWay(pool: Pool, connection: Connection, now: number): boolean {
    if (pool.waiters.size === 0) return false
    return pool.budgets.some((budget) => {
      if (budget.starving.size === 0 || !budget.wantsMore) return false
      const needy = budget.neediest(pool)
      if (!needy) return false
      if (needy.connections.size + 1 < pool.connections.size) return true
      return needy.connections.size === 0 && hasHadItsTurn(connection, now)
    })
  }

  /** From now on the pool comes behind those that wait already. */
  #giveWay(pool: Pool, connection: Connection): void {
    for (const { starving } of pool.budgets) if (starving.delete(pool)) starving.add(pool)
    this.#count(pool, 'evicted')
    this.#retire(connection)
  }

  /** Hands the connection to the first in the queue that it can serve; false where there is none. */
  #serve(pool: Pool, connection: Connection): boolean {
    const waiter = firstFor(pool, connection)
    if (!waiter) return false
    pool.waiters.delete(waiter)
    waiter.resolve(grant(pool, connection, waiter.expectedMs))
    if (pool.waiters.size === 0) this.#stopStarving(pool)
    return true
  }

  #stopStarving(pool: Pool): void {
    for (const budget of pool.budgets) budget.starving.delete(pool)
  }

  /** Cuts the connections to other hosts: what is written there is not what the primary has. */
  #cutAllBut(host: Server): void {
    for (const pool of [...this.#pools.values(), ...this.#kept]) {
      for (const connection of pool.connections) {
        if (connection.server && connection.server !== host) connection.destroy()
      }
    }
  }

  #forgetIdle(connection: Connection): void {
    if (!this.#all.idle.has(connection)) return
    for (const budget of connection.budgets) budget.idle.delete(connection)
    const idle = this.#pools.get(connection.database)?.idle
    const index = idle?.indexOf(connection) ?? -1
    if (index >= 0) idle?.splice(index, 1)
  }

  /** Closes the connections that nobody has used for long, and those that are old. */
  #sweep(): void {
    const now = performance.now()
    for (const connection of this.#all.idle) {
      const isUnused = connection.idleSince <= now - this.#limits.poolIdleTimeoutMs
      if (isUnused || connection.expiresAt <= now) this.#retire(connection)
    }
  }

  *#connections(): Iterable<Connection> {
    for (const pool of this.#pools.values()) yield* pool.connections
  }

  /** Lets a pool go that has neither connections nor waiters. */
  #settle(pool: Pool): void {
    if (pool.waiters.size === 0) this.#stopStarving(pool)
    if (pool.connections.size > 0 || pool.waiters.size > 0) return
    this.#kept.delete(pool)
    if (this.#pools.get(pool.database) === pool) this.#pools.delete(pool.database)
  }
}

function isFresh({ idleSince }: Connection, now: number): boolean {
  return now - idleSince < FRESH_MS
}
