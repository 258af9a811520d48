import { GatewayError } from '../errors.ts'
import { Connection, type Sql } from './connection.ts'
import { endsConnection } from './errors.ts'
import { Semaphore } from './semaphore.ts'
import type { Server } from './server.ts'

export interface PoolLimits {
  maxConnectionsPerPool: number
  maxTotalConnections: number
  poolIdleTimeoutMs: number
  poolWaitTimeoutMs: number
  connectTimeoutMs: number
  statementTimeoutMs: number
}

/** A connection, used by one piece of work alone until it is given back. */
export interface Lease {
  readonly sql: Sql
  /** Gives the connection back for others to use; pass the error of the work if it failed. */
  release(error?: unknown): void
  /** Closes the connection instead: its session is not as it was, or its query still runs. */
  discard(): Promise<void>
  /** Cuts the connection: the server does not answer on it. */
  destroy(): void
}

interface Waiter {
  since: number
  timer: NodeJS.Timeout
  resolve: (connection: Connection) => void
  reject: (error: Error) => void
}

/** The connections to one database, and who waits for one. */
interface Pool {
  database: string
  connections: Set<Connection>
  /** Last in, first out: the rest grow old and go. */
  idle: Connection[]
  waiters: Set<Waiter>
  /** Set while its database is being dropped: nothing is kept. */
  closing: boolean
}

export interface PoolsStatus {
  pools: number
  connections: number
  waiting: number
}

const LONGEST_SWEEP_MS = 30_000

/**
 * With more databases in need than permits, how long a database keeps its only connection while it
 * has work for it. Opening one costs some milliseconds: far less than that would be spent on it.
 */
const TURN_MS = 50

/**
 * The pools of all databases under one semaphore. A permit is an open socket, so the sum of open
 * connections never passes `maxTotalConnections`. A database that needs a connection when no
 * permit is free gets the permit of the connection that has been idle longest, of whatever
 * database; where none is idle it waits, in order, for the next that is given back.
 */
export class Pools {
  readonly #server: Server
  readonly #limits: PoolLimits
  readonly #semaphore: Semaphore
  readonly #pools = new Map<string, Pool>()
  /** Idle connections of all pools, the longest idle first. */
  readonly #idle = new Set<Connection>()
  /** Pools whose waiters need one more permit, the longest waiting first. */
  readonly #starving = new Set<Pool>()
  readonly #sweeper: NodeJS.Timeout
  #evicting = 0
  #lastAnswerAt = Number.NEGATIVE_INFINITY
  #ended = false

  constructor(server: Server, limits: PoolLimits) {
    this.#server = server
    this.#limits = limits
    this.#semaphore = new Semaphore(limits.maxTotalConnections)
    const every = Math.min(LONGEST_SWEEP_MS, Math.ceil(limits.poolIdleTimeoutMs / 4))
    this.#sweeper = setInterval(() => this.#closeIdle(), every).unref()
  }

  get server(): Server {
    return this.#server
  }

  status(): PoolsStatus {
    let waiting = 0
    for (const pool of this.#pools.values()) waiting += pool.waiters.size
    return { pools: this.#pools.size, connections: this.#semaphore.held, waiting }
  }

  /** Milliseconds since PostgreSQL last answered on any connection; Infinity before the first. */
  sinceLastAnswer(): number {
    return performance.now() - this.#lastAnswerAt
  }

  /**
   * A connection to the database, at once where one is idle.
   * @throws {GatewayError} pool_exhausted when none becomes free within `waitMs`
   */
  async lease(database: string, waitMs = this.#limits.poolWaitTimeoutMs): Promise<Lease> {
    const pool = this.#pool(database)
    const connection = this.#takeIdle(pool) ?? (await this.#wait(pool, waitMs))
    let held = true
    const giveBack = (action: () => void) => {
      if (!held) return
      held = false
      action()
    }
    return {
      sql: connection.sql,
      release: (error) =>
        giveBack(() => {
          if (endsConnection(error)) connection.destroy()
          else this.#release(pool, connection)
        }),
      discard: async () => {
        if (!held) return
        held = false
        await connection.close()
      },
      destroy: () => giveBack(() => connection.destroy()),
    }
  }

  /**
   * Runs `work` with a connection of its own and gives it back whatever happens.
   * @throws {GatewayError} pool_exhausted when no connection becomes free in time
   */
  async use<T>(database: string, work: (sql: Sql) => Promise<T>, waitMs?: number): Promise<T> {
    const lease = await this.lease(database, waitMs)
    try {
      const result = await work(lease.sql)
      lease.release()
      return result
    } catch (error) {
      lease.release(error)
      throw error
    }
  }

  /** Closes every connection to a database and lets its pool go, before the database is dropped. */
  async closeDatabase(database: string): Promise<void> {
    const pool = this.#pools.get(database)
    if (!pool) return
    this.#pools.delete(database)
    this.#starving.delete(pool)
    pool.closing = true
    for (const waiter of pool.waiters) {
      pool.waiters.delete(waiter)
      clearTimeout(waiter.timer)
      waiter.reject(new GatewayError('database_not_found', `Database ${database} is gone`))
    }
    await Promise.all(
      pool.idle.splice(0).map((connection) => {
        this.#idle.delete(connection)
        return connection.close()
      }),
    )
  }

  /** Closes the idle connections and cuts those in use: their queries fail. */
  async end(): Promise<void> {
    this.#ended = true
    clearInterval(this.#sweeper)
    const connections = [...this.#pools.values()].flatMap((pool) => [...pool.connections])
    for (const pool of this.#pools.values()) {
      for (const waiter of pool.waiters) {
        clearTimeout(waiter.timer)
        waiter.reject(new GatewayError('connection_failed', 'The gateway is stopping'))
      }
      pool.waiters.clear()
    }
    const idle = connections.filter((connection) => this.#idle.has(connection))
    for (const connection of connections) if (!this.#idle.has(connection)) connection.destroy()
    await Promise.all(idle.map((connection) => connection.close()))
  }

  #pool(database: string): Pool {
    let pool = this.#pools.get(database)
    if (!pool) {
      pool = { database, connections: new Set(), idle: [], waiters: new Set(), closing: false }
      this.#pools.set(database, pool)
    }
    return pool
  }

  #takeIdle(pool: Pool): Connection | undefined {
    const connection = pool.idle.pop()
    if (connection) this.#idle.delete(connection)
    return connection
  }

  #wait(pool: Pool, waitMs: number): Promise<Connection> {
    if (this.#ended) {
      return Promise.reject(new GatewayError('connection_failed', 'The gateway is stopping'))
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        since: performance.now(),
        timer: setTimeout(() => {
          pool.waiters.delete(waiter)
          this.#settle(pool)
          reject(exhausted(pool.database, waitMs))
        }, waitMs),
        resolve,
        reject,
      }
      pool.waiters.add(waiter)
      this.#grow(pool)
    })
  }

  /** Opens connections for the pool's waiters; where no permit is free, sees to it that one is. */
  #grow(pool: Pool): void {
    while (pool.waiters.size > 0 && pool.connections.size < this.#limits.maxConnectionsPerPool) {
      if (!this.#semaphore.tryAcquire()) {
        this.#starving.add(pool)
        this.#evict()
        return
      }
      this.#serve(pool, this.#open(pool))
    }
    this.#starving.delete(pool)
  }

  /**
   * Closes the connection that has been idle longest; its permit comes back when it is closed.
   * No more are closed than there are waiters in need.
   */
  #evict(): void {
    let needed = -this.#evicting
    for (const pool of this.#starving) needed += pool.waiters.size
    if (needed <= 0) return
    for (const connection of this.#idle) {
      this.#forgetIdle(connection)
      this.#evicting++
      connection
        .close()
        .catch(() => {})
        .finally(() => this.#evicting--)
      return
    }
  }

  #open(pool: Pool): Connection {
    const connection = new Connection(
      this.#server,
      {
        database: pool.database,
        connectTimeoutMs: this.#limits.connectTimeoutMs,
        statementTimeoutMs: this.#limits.statementTimeoutMs,
      },
      () => this.#closed(pool, connection),
    )
    pool.connections.add(connection)
    return connection
  }

  #closed(pool: Pool, connection: Connection): void {
    pool.connections.delete(connection)
    this.#forgetIdle(connection)
    this.#semaphore.release()
    if (!this.#ended) this.#feed()
    this.#grow(pool)
    this.#settle(pool)
  }

  /** Gives free permits to the pools that wait for one. */
  #feed(): void {
    while (this.#semaphore.held < this.#semaphore.capacity) {
      const pool = this.#neediest()
      if (!pool) return
      this.#starving.delete(pool)
      this.#grow(pool)
    }
  }

  /** Of the pools that wait for a permit: the first that has no connection at all, or the first. */
  #neediest(except?: Pool): Pool | undefined {
    let first: Pool | undefined
    for (const pool of this.#starving) {
      if (pool === except) continue
      if (pool.connections.size === 0) return pool
      first ??= pool
    }
    return first
  }

  #release(pool: Pool, connection: Connection): void {
    if (connection.closed) return
    this.#lastAnswerAt = performance.now()
    connection.usedSince ??= this.#lastAnswerAt
    if (this.#ended || pool.closing || this.#mustGiveWay(pool, connection)) {
      connection.close().catch(() => {})
      return
    }
    if (this.#serve(pool, connection)) return
    connection.idleSince = this.#lastAnswerAt
    pool.idle.push(connection)
    this.#idle.add(connection)
  }

  /**
   * Whether a connection that `pool` gives back goes to another database. It does where nobody
   * here waits for it; and where a database without any connection waits, while this one has more
   * than one, or has had its turn.
   */
  #mustGiveWay(pool: Pool, connection: Connection): boolean {
    const needy = this.#neediest(pool)
    if (!needy) return false
    if (pool.waiters.size === 0) return true
    if (needy.connections.size > 0) return false
    if (pool.connections.size > 1) return true
    return (
      this.#lastAnswerAt - (connection.usedSince ?? this.#lastAnswerAt) > TURN_MS &&
      waitingSince(needy) < waitingSince(pool)
    )
  }

  /** Hands the connection to the pool's first waiter; false where nobody waits. */
  #serve(pool: Pool, connection: Connection): boolean {
    for (const waiter of pool.waiters) {
      pool.waiters.delete(waiter)
      clearTimeout(waiter.timer)
      waiter.resolve(connection)
      if (pool.waiters.size === 0) this.#starving.delete(pool)
      return true
    }
    return false
  }

  #forgetIdle(connection: Connection): void {
    if (!this.#idle.delete(connection)) return
    const idle = this.#pools.get(connection.database)?.idle
    const index = idle?.indexOf(connection) ?? -1
    if (index >= 0) idle?.splice(index, 1)
  }

  #closeIdle(): void {
    const before = performance.now() - this.#limits.poolIdleTimeoutMs
    for (const connection of this.#idle) {
      if (connection.idleSince > before) break
      this.#forgetIdle(connection)
      connection.close().catch(() => {})
    }
  }

  /** Lets a pool go that has neither connections nor waiters. */
  #settle(pool: Pool): void {
    if (pool.waiters.size === 0) this.#starving.delete(pool)
    if (pool.connections.size > 0 || pool.waiters.size > 0) return
    if (this.#pools.get(pool.database) === pool) this.#pools.delete(pool.database)
  }
}

function waitingSince(pool: Pool): number {
  for (const waiter of pool.waiters) return waiter.since
  return Number.POSITIVE_INFINITY
}

function exhausted(database: string, waitMs: number): GatewayError {
  return new GatewayError(
    'pool_exhausted',
    `No connection to ${database} became free within ${waitMs / 1000} s`,
    { database },
  )
}
