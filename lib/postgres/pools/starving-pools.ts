import { Heap } from '../../common/heap.ts'
import type { PlatformAccount, TenantAccount } from './database-seconds.ts'

/** The parts of a pool by which its place is decided. */
export interface Starving {
  account: TenantAccount
  connections: { size: number }
}

/** The pools of one platform, the one that has used the least lately first. */
interface Group<Pool> {
  account: PlatformAccount
  pools: Heap<Pool>
}

/**
 * Pools whose waiters need a permit. The next permit goes to the platform that has used the least
 * database time lately, and in it to the database that has used the least; of equals, to the first
 * that came. A pool that has got nothing for `patienceMs` goes first, but never twice in a row, so
 * that nothing starves and what is ordered by use gets at least every second permit.
 */
export class StarvingPools<Pool extends Starving> {
  /** `performance.now()` since when each pool has got nothing, in this order. */
  readonly #since = new Map<Pool, number>()
  readonly #groups = new Map<PlatformAccount, Group<Pool>>()
  readonly #byUse = new Heap<Group<Pool>>((a, b) => a.account.used < b.account.used)
  /** Number of each pool in the order of arrival. */
  readonly #arrivals = new WeakMap<Pool, number>()
  readonly #patienceMs: number
  #arrived = 0
  #isOutOfOrder = false

  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs
  }

  get size(): number {
    return this.#since.size
  }

  has(pool: Pool): boolean {
    return this.#since.has(pool)
  }

  [Symbol.iterator](): IterableIterator<Pool> {
    return this.#since.keys()
  }

  add(pool: Pool, now: number): void {
    if (this.#since.has(pool)) return
    this.#since.set(pool, now)
    this.#arrivals.set(pool, this.#arrived++)
    const { platform } = pool.account
    let group = this.#groups.get(platform)
    if (!group) {
      group = { account: platform, pools: new Heap((a, b) => this.#goesBefore(a, b)) }
      this.#groups.set(platform, group)
      this.#byUse.add(group)
    }
    group.pools.add(pool)
    // Its platform's account may have been raised.
    this.#byUse.update(group)
  }

  delete(pool: Pool): boolean {
    if (!this.#since.delete(pool)) return false
    const group = this.#groups.get(pool.account.platform)!
    group.pools.delete(pool)
    if (group.pools.size === 0) {
      this.#groups.delete(group.account)
      this.#byUse.delete(group)
    }
    return true
  }

  /** Puts a pool, and the pools of its platform, where they belong after a charge. */
  update(pool: Pool): void {
    const group = this.#groups.get(pool.account.platform)
    if (!group) return
    group.pools.update(pool)
    this.#byUse.update(group)
  }

  /** Returns the pool that gets the next permit. */
  next(now: number): Pool | undefined {
    return this.overdue(now) ?? this.#byUse.first?.pools.first
  }

  /** Returns the pool that goes first because it has got nothing for too long. */
  overdue(now: number): Pool | undefined {
    if (this.#isOutOfOrder) return undefined
    for (const [pool, since] of this.#since) {
      if (now - since < this.#patienceMs) return undefined
      if (pool.connections.size === 0) return pool
      // Its own connections serve its waiters.
      this.#servedAt(pool, now)
    }
    return undefined
  }

  /** Notes that a pool gets a permit. */
  noteServed(pool: Pool, now: number): void {
    this.#isOutOfOrder = this.overdue(now) === pool
    if (this.#since.has(pool)) this.#servedAt(pool, now)
  }

  /** The platform of those that wait that has used the least lately. */
  get firstPlatform(): PlatformAccount | undefined {
    return this.#byUse.first?.account
  }

  /** Returns the pool of a platform that has used the least lately. */
  firstOf(platform: PlatformAccount): Pool | undefined {
    return this.#groups.get(platform)?.pools.first
  }

  #servedAt(pool: Pool, now: number): void {
    this.#since.delete(pool)
    this.#since.set(pool, now)
  }

  #goesBefore(a: Pool, b: Pool): boolean {
    if (a.account.used !== b.account.used) return a.account.used < b.account.used
    return this.#arrivals.get(a)! < this.#arrivals.get(b)!
  }
}
