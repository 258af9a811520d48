import { GatewayError } from '../errors.ts'
import { Connection, type Sql } from './connection.ts'
import { endsConnection } from './errors.ts'
import { Hosts } from './hosts.ts'
import { Lease, type LeaseEnd } from './lease.ts'
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

/** Who a connection is for; `onGone` is called when nobody waits for the work any more. */
export interface Client {
  onGone: (() => void) | undefined
}

interface Waiter {
  since: number
  /** Of a quick call, which may share; undefined: it waits for a connection of its own. */
  expectedMs: number | undefined
  resolve: (lease: Lease) => void
  reject: (error: Error) => void
}

/** The connections to one database, and who waits for one. */
interface Pool {
  database: string
  connections: Set<Connection>
  /** Last in, first out: the rest grow old and go. */
  idle: Connection[]
  /** Those that quick calls share just now. */
  shared: Connection[]
  waiters: Set<Waiter>
  /** Set while its database is being dropped: nothing is kept. */
  closing: boolean
  leaseEnd: LeaseEnd
}

export interface LeaseOptions {
  /** How long to wait for a connection; POOL_WAIT_TIMEOUT_SECS where it is not given. */
  waitMs?: number | undefined
  client?: Client | undefined
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

/** The most that the quick calls on one connection may come to: how long the last of them waits. */
const SHARED_QUEUE_MS = 1

/** A shared connection that answered nothing for so long has met a call that is not quick today. */
const STUCK_MS = 10

/**
 * The pools of all databases under one semaphore. A permit is an open socket, so the sum of open
 * connections never passes `maxTotalConnections`. A database that needs a connection when no
 * permit is free gets the permit of the connection that has been idle longest, of whatever
 * database; where none is idle it waits, in order, for the next that is given back.
 */
export class Pools {
  readonly #server: Server
  readonly #hosts: Hosts
  readonly #limits: PoolLimits
  readonly #semaphore: Semaphore
  readonly #pools = new Map<string, Pool>()
  /** Those that `keep` opened, each in a pool of its own. */
  readonly #kept = new Set<Pool>()
  /** Idle connections of all pools, the longest idle first. */
  readonly #idle = new Set<Connection>()
  /** Pools whose waiters need one more permit, the longest waiting first. */
  readonly #starving = new Set<Pool>()
  readonly #sweeper: NodeJS.Timeout
  /** Connections that are being closed: their permits come back soon. */
  readonly #closing = new Set<Connection>()
  #lastAnswerAt = Number.NEGATIVE_INFINITY
  #ended = false
  /** Told when the primary is another one of the server's hosts. */
  onMoved: ((from: Server, to: Server) => void) | undefined

  constructor(server: Server, limits: PoolLimits) {
    this.#server = server
    this.#hosts = new Hosts(server)
    this.#hosts.onMoved = (from, to) => {
      this.#cutAllBut(to)
      this.onMoved?.(from, to)
    }
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

  /**
   * From now on at most so many connections are open. Of those that are too many the idle ones are
   * closed at once, the others when they are given back.
   */
  setCapacity(connections: number): void {
    this.#semaphore.capacity = connections
    for (const connection of this.#idle) {
      if (!this.#isOverCapacity) break
      this.#retire(connection)
    }
    this.#feed()
  }

  /** Milliseconds since PostgreSQL last answered on any connection; Infinity before the first. */
  sinceLastAnswer(): number {
    return performance.now() - this.#lastAnswerAt
  }

  /**
   * A connection to the database for one piece of work alone, at once where one is idle. A client
   * that goes away leaves the queue.
   * @throws {GatewayError} pool_exhausted when none becomes free within `waitMs`
   */
  async lease(database: string, { waitMs, client }: LeaseOptions = {}): Promise<Lease> {
    const pool = this.#pool(database)
    const connection = this.#takeIdle(pool)
    return connection ? grant(pool, connection) : this.#wait(pool, { waitMs, client })
  }

  /**
   * A connection for a call that is known to be quick, beside others of its kind: their queries
   * go out and come back together, which saves most of what a query costs. At once where there is
   * room or an idle connection; in order behind those who wait.
   * @throws {GatewayError} pool_exhausted when none becomes free in time
   */
  share(database: string, expectedMs: number, client?: Client): Lease | Promise<Lease> {
    const pool = this.#pool(database)
    const mayJoin = pool.waiters.size === 0 && this.#starving.size === 0 && !this.#isOverCapacity
    const connection = (mayJoin && findRoom(pool, expectedMs)) || this.#takeIdle(pool)
    if (connection) return grant(pool, connection, expectedMs)
    return this.#wait(pool, { client }, expectedMs)
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
   * Opens a connection that is kept, such as one that listens. It holds a permit and counts under
   * the limit of no database; who keeps it closes it, after `end` too.
   * @throws {GatewayError} pool_exhausted when no permit becomes free in time
   */
  async keep(database: string): Promise<Connection> {
    const pool = this.#newPool(database)
    this.#kept.add(pool)
    return (await this.#wait(pool, {})).connection
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
      pool = this.#newPool(database)
      this.#pools.set(database, pool)
    }
    return pool
  }

  #newPool(database: string): Pool {
    const pool: Pool = {
      database,
      connections: new Set(),
      idle: [],
      shared: [],
      waiters: new Set(),
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

  #takeIdle(pool: Pool): Connection | undefined {
    const connection = pool.idle.pop()
    if (connection) this.#idle.delete(connection)
    return connection
  }

  #wait(pool: Pool, options: LeaseOptions, expectedMs?: number): Promise<Lease> {
    const { client, waitMs = this.#limits.poolWaitTimeoutMs } = options
    if (this.#ended) {
      return Promise.reject(new GatewayError('connection_failed', 'The gateway is stopping'))
    }
    return new Promise((resolve, reject) => {
      const leave = (error: GatewayError) => {
        pool.waiters.delete(waiter)
        this.#settle(pool)
        waiter.reject(error)
      }
      const settle = () => {
        clearTimeout(timer)
        if (client) client.onGone = undefined
      }
      const timer = setTimeout(() => leave(exhausted(pool.database, waitMs)), waitMs)
      const waiter: Waiter = {
        since: performance.now(),
        expectedMs,
        resolve: (lease) => {
          settle()
          resolve(lease)
        },
        reject: (error) => {
          settle()
          reject(error)
        },
      }
      if (client) client.onGone = () => leave(clientGone(pool.database))
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
    let needed = -this.#closing.size
    for (const pool of this.#starving) needed += pool.waiters.size
    if (needed <= 0) return
    for (const connection of this.#idle) {
      this.#retire(connection)
      return
    }
  }

  /** More are open than there may be, those aside that are being closed. */
  get #isOverCapacity(): boolean {
    return this.#semaphore.held - this.#closing.size > this.#semaphore.capacity
  }

  /** Closes a connection that nobody uses. */
  async #retire(connection: Connection): Promise<void> {
    this.#forgetIdle(connection)
    this.#closing.add(connection)
    await connection.close().catch(() => {})
  }

  #open(pool: Pool): Connection {
    const connection = new Connection(
      this.#server,
      {
        database: pool.database,
        route: this.#hosts,
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
    this.#closing.delete(connection)
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

  #endLease(pool: Pool, { connection, expectedMs }: Lease, error: unknown): void {
    const isFree = expectedMs === undefined || leave(pool, connection, expectedMs)
    if (endsConnection(error)) connection.destroy()
    else if (isFree) this.#release(pool, connection)
    else if (pool.waiters.size > 0) this.#admit(pool)
  }

  /** Lets the quick calls that are first in the queue in where there is room. */
  #admit(pool: Pool): void {
    if (this.#neediest(pool)) return
    for (const { expectedMs } of pool.waiters) {
      const connection = expectedMs === undefined ? undefined : findRoom(pool, expectedMs)
      if (!connection) return
      this.#serve(pool, connection)
    }
  }

  #release(pool: Pool, connection: Connection): void {
    if (connection.closed) return
    this.#lastAnswerAt = performance.now()
    connection.usedSince ??= this.#lastAnswerAt
    const mayStay = !this.#ended && !pool.closing && !connection.isSpent && !this.#isOverCapacity
    if (!mayStay || this.#mustGiveWay(pool, connection)) {
      this.#retire(connection)
      return
    }
    if (this.#serve(pool, connection)) {
      this.#admit(pool)
      return
    }
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
      waiter.resolve(grant(pool, connection, waiter.expectedMs))
      if (pool.waiters.size === 0) this.#starving.delete(pool)
      return true
    }
    return false
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
    if (!this.#idle.delete(connection)) return
    const idle = this.#pools.get(connection.database)?.idle
    const index = idle?.indexOf(connection) ?? -1
    if (index >= 0) idle?.splice(index, 1)
  }

  #closeIdle(): void {
    const before = performance.now() - this.#limits.poolIdleTimeoutMs
    for (const connection of this.#idle) {
      if (connection.idleSince > before) break
      this.#retire(connection)
    }
  }

  /** Lets a pool go that has neither connections nor waiters. */
  #settle(pool: Pool): void {
    if (pool.waiters.size === 0) this.#starving.delete(pool)
    if (pool.connections.size > 0 || pool.waiters.size > 0) return
    this.#kept.delete(pool)
    if (this.#pools.get(pool.database) === pool) this.#pools.delete(pool.database)
  }
}

/** A lease of the connection; of a quick call, beside those that it has already. */
function grant(pool: Pool, connection: Connection, expectedMs?: number): Lease {
  if (expectedMs !== undefined) {
    if (connection.sharers === 0) {
      pool.shared.push(connection)
      connection.answeredAt = performance.now()
    }
    connection.sharers++
    connection.expectedMs += expectedMs
  }
  return new Lease(connection, pool.leaseEnd, expectedMs)
}

/** Takes a call off a shared connection; true when it was the last one there. */
function leave(pool: Pool, connection: Connection, expectedMs: number): boolean {
  connection.answeredAt = performance.now()
  connection.expectedMs -= expectedMs
  connection.sharers--
  if (connection.sharers > 0) return false
  connection.expectedMs = 0
  pool.shared.splice(pool.shared.indexOf(connection), 1)
  return true
}

/** A shared connection on which another quick call would not have to wait for long. */
function findRoom(pool: Pool, expectedMs: number): Connection | undefined {
  if (pool.shared.length === 0) return undefined
  const stuckSince = performance.now() - STUCK_MS
  return pool.shared.find(
    (connection) =>
      connection.expectedMs + expectedMs <= SHARED_QUEUE_MS &&
      connection.answeredAt > stuckSince &&
      !connection.isSpent &&
      !connection.closed,
  )
}

function waitingSince(pool: Pool): number {
  for (const waiter of pool.waiters) return waiter.since
  return Number.POSITIVE_INFINITY
}

function clientGone(database: string): GatewayError {
  return new GatewayError('pool_exhausted', 'The client did not wait for a connection', {
    database,
  })
}

function exhausted(database: string, waitMs: number): GatewayError {
  return new GatewayError(
    'pool_exhausted',
    `No connection to ${database} became free within ${waitMs / 1000} s`,
    { database },
  )
}
