import type { GatewayError } from '../../errors.ts'
import type { Hosts } from '../hosts/hosts.ts'
import type { Credentials, Server } from '../hosts/server.ts'
import { Budget, SLOW_OPENING_MS } from './budget.ts'
import { exceeds, firstToGrow } from './call-share.ts'
import { Connection, type Speaks } from './connection.ts'
import { DatabaseSeconds } from './database-seconds.ts'
import { Demand, leastWanted } from './demand.ts'
import { admit, discardLease, endLease, type Supply, serve, stopStarving } from './give-back.ts'
import type { SupplyLimits } from './limits.ts'
import type { OnSession } from './need.ts'
import { PlatformBudgets } from './platform-budgets.ts'
import { type CredentialsOf, countClosing, inUse, type PlatformOf, type Pool } from './pool.ts'
import { Counters, type PoolCounters } from './pool-counters.ts'
import { RunningUse } from './running-use.ts'
import { countOpen, endUse, starve } from './turns.ts'

/** Lifetimes are up to 25 % shorter at random, so that connections do not expire all at once. */
const LIFETIME_JITTER = 0.25

export interface SupplyOptions {
  server: Server
  hosts: Hosts
  limits: SupplyLimits
  platformOf: PlatformOf
  credentialsOf: CredentialsOf
}

/** Opens and closes the connections of all pools within their budgets. Idle ones give way to those in need. */
export class ConnectionSupply implements Supply {
  /** The budget of all connections. */
  readonly all: Budget<Pool>
  readonly pools = new Map<string, Pool>()
  /** Pools of permanent connections, one connection each. */
  readonly kept = new Set<Pool>()
  readonly counters = new Counters()
  /** Decides which idle connection gives way. */
  readonly demand = new Demand(() => this.all.permits.capacity)
  isEnded = false
  /** Returns why nobody gets a connection; undefined: they do. */
  refusal: (() => GatewayError) | undefined
  /** Called when a pool begins to wait for a permit of `all`, and when a connection was closed. */
  onNeed: (() => void) | undefined
  onSession: OnSession | undefined
  /** `performance.now()` of PostgreSQL's last answer; -Infinity after the loss of a connection. */
  lastAnswerAt = Number.NEGATIVE_INFINITY
  readonly #server: Server
  readonly #hosts: Hosts
  readonly #limits: SupplyLimits
  readonly #platformOf: PlatformOf
  readonly #credentialsOf: CredentialsOf
  readonly #platforms: PlatformBudgets
  readonly #running: RunningUse
  /** Database time used lately, by which those that wait get connections. */
  readonly seconds = new DatabaseSeconds()

  constructor({ server, hosts, limits, platformOf, credentialsOf }: SupplyOptions) {
    this.#server = server
    this.#hosts = hosts
    this.#limits = limits
    this.#platformOf = platformOf
    this.#credentialsOf = credentialsOf
    const patienceMs = limits.poolWaitTimeoutMs / 2
    this.all = new Budget(limits.maxTotalConnections, patienceMs, leastWanted(this))
    this.#platforms = new PlatformBudgets(this.all, limits)
    this.#running = new RunningUse(this)
  }

  get isOverdrawn(): boolean {
    return this.all.isOverdrawn
  }

  hasTooMany(pool: Pool): boolean {
    return exceeds(pool, this.all, this.#limits.mostForCalls?.(pool.database))
  }

  noteAnswer(now: number): void {
    this.lastAnswerAt = now
  }

  /**
   * Returns the pool of a database; creates it if there is none.
   * @throws {GatewayError} if the owner of the database is unknown
   */
  pool(database: string): Pool {
    let pool = this.pools.get(database)
    if (!pool) {
      // Throws for an unknown owner, before a caller waits for a connection that cannot be opened.
      this.#credentialsOf(database)
      pool = this.newPool(database, () => this.#credentialsOf(database), this.seconds)
      this.pools.set(database, pool)
    }
    return pool
  }

  /** @param seconds accounts to charge; undefined for a permanent connection */
  newPool(
    database: string,
    credentials: () => Credentials | undefined,
    seconds?: DatabaseSeconds,
  ): Pool {
    const platform = this.#platformOf(database)
    const pool: Pool = {
      database,
      platform,
      credentials,
      budgets: this.#platforms.budgetsOf(platform),
      connections: new Set(),
      idle: [],
      shared: [],
      waiters: new Set(),
      counters: this.counters.of(database),
      account: (seconds ?? new DatabaseSeconds()).of(database, platform),
      seconds,
      closing: false,
      leaseEnd: {
        release: (lease, error) => endLease(this, pool, lease, error),
        discard: (lease) => discardLease(this, pool, lease),
      },
    }
    return pool
  }

  noteWant(pool: Pool): void {
    // Those that are being closed serve no want.
    this.demand.note(pool.database, inUse(pool) - countClosing(pool, this.all.closing))
  }

  count(pool: Pool, what: keyof PoolCounters): void {
    this.counters.count(pool.counters, what)
  }

  /** Opens connections for the pool's waiters. If no permit is free, closes an idle connection. */
  grow(pool: Pool): void {
    while (this.#growByOne(pool));
  }

  /** Returns false if the pool needs no more connections or has to wait for a permit. */
  #growByOne(pool: Pool): boolean {
    const waiter = firstToGrow(pool, this.#limits.mostForCalls?.(pool.database))
    const mayGrow = pool.connections.size < this.#limits.maxConnectionsPerPool
    if (!waiter || !mayGrow) {
      stopStarving(pool)
      // The first waiter cannot use an idle connection of the other kind; closing one makes room.
      if (waiter && pool.idle.length > 0) this.retire(pool.idle[0]!)
      admit(this, pool)
      return false
    }
    const full = pool.budgets.find((budget) => !budget.hasCapacity)
    if (!full) {
      serve(pool, this.#open(pool, waiter.speaks))
      return true
    }
    for (const budget of pool.budgets) if (budget !== full) budget.starving.delete(pool)
    starve(pool, full)
    this.#running.watch()
    this.evict(full)
    if (full === this.all) this.onNeed?.()
    return false
  }

  /** Closes the idle connection that is wanted least if others need its permit. */
  evict(budget: Budget<Pool>): void {
    const { victim } = budget
    if (!victim) {
      if (budget.starving.size > 0 && budget.idle.size > 0) this.#evictLater(budget)
      return
    }
    const pool = this.pools.get(victim.database)
    if (pool) this.count(pool, 'evicted')
    this.retire(victim)
  }

  #evictLater(budget: Budget<Pool>): void {
    budget.retry ??= setTimeout(() => {
      budget.retry = undefined
      if (!this.isEnded) this.evict(budget)
    }, SLOW_OPENING_MS).unref()
  }

  /** Closes a connection that has no lease. */
  async retire(connection: Connection): Promise<void> {
    this.#forgetIdle(connection)
    // A connection leaves `closing` in #closed, which does not run again for a closed one.
    if (!connection.closed) for (const budget of connection.budgets) budget.closing.add(connection)
    await connection.close().catch(() => {})
  }

  /** Opens a connection. The caller has checked that all budgets have a permit. */
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
        atOpening: this.#limits.atOpening?.(pool.database),
      },
      () => this.#closed(pool, connection),
      () => this.#opened(pool, connection),
    )
    connection.onBackend = (pid) => this.onSession?.(pid, true)
    connection.budgets = pool.budgets
    const share = 1 - LIFETIME_JITTER * Math.random()
    connection.expiresAt = performance.now() + this.#limits.poolMaxLifetimeMs * share
    pool.connections.add(connection)
    countOpen(pool, 1)
    this.noteWant(pool)
    this.count(pool, 'opened')
    for (const budget of pool.budgets) {
      budget.starving.noteServed(pool, connection.busySince)
      budget.permits.tryAcquire()
      budget.opening.add(connection)
    }
    return connection
  }

  #opened(pool: Pool, connection: Connection): void {
    connection.busySince = performance.now()
    connection.answeredAt = connection.busySince
    // Opening counts as no use.
    if (connection.usedSince !== undefined) connection.usedSince = connection.busySince
    this.noteAnswer(connection.busySince)
    for (const budget of pool.budgets) {
      budget.opening.delete(connection)
      this.evict(budget)
    }
  }

  #closed(pool: Pool, connection: Connection): void {
    endUse(pool, connection, performance.now())
    pool.connections.delete(connection)
    if (connection.backend !== undefined) this.onSession?.(connection.backend, false)
    countOpen(pool, -1)
    this.count(pool, 'closed')
    this.#forgetIdle(connection)
    const isLost = !pool.budgets.some(({ closing }) => closing.has(connection))
    if (isLost) this.lastAnswerAt = Number.NEGATIVE_INFINITY
    for (const budget of pool.budgets) {
      budget.opening.delete(connection)
      budget.closing.delete(connection)
      budget.permits.release()
    }
    if (!this.isEnded) for (const budget of pool.budgets) this.feed(budget)
    this.grow(pool)
    this.settle(pool)
    this.onNeed?.()
  }

  /** Gives free permits to the pools that need one. */
  feed(budget: Budget<Pool>): void {
    while (budget.hasCapacity) {
      const pool = budget.starving.next(performance.now())
      if (!pool) return
      if (!this.#growByOne(pool)) budget.starving.delete(pool)
    }
    this.evict(budget)
  }

  /** Closes connections to hosts other than `host`, the primary: their writes would be lost. */
  cutAllBut(host: Server): void {
    const pools = [...this.pools.values(), ...this.kept]
    for (const connection of pools.flatMap(({ connections }) => [...connections]))
      if (connection.server && connection.server !== host) connection.destroy()
  }

  #forgetIdle(connection: Connection): void {
    if (!this.all.idle.has(connection)) return
    for (const budget of connection.budgets) budget.idle.delete(connection)
    const idle = this.pools.get(connection.database)?.idle
    const index = idle?.indexOf(connection) ?? -1
    if (index >= 0) idle?.splice(index, 1)
  }

  /** Closes idle connections that were unused for poolIdleTimeoutMs or have expired. */
  sweep(): void {
    const now = performance.now()
    for (const connection of this.all.idle) {
      const isUnused = connection.idleSince <= now - this.#limits.poolIdleTimeoutMs
      if (isUnused || connection.expiresAt <= now) this.retire(connection)
    }
    this.seconds.sweep((database) => this.pools.has(database), now)
  }

  *connections(): Iterable<Connection> {
    for (const pool of this.pools.values()) yield* pool.connections
  }

  /** Removes a pool that has neither connections nor waiters. */
  settle(pool: Pool): void {
    if (pool.waiters.size === 0) stopStarving(pool)
    if (pool.connections.size > 0 || pool.waiters.size > 0) return
    this.kept.delete(pool)
    if (this.pools.get(pool.database) === pool) this.pools.delete(pool.database)
  }
}
