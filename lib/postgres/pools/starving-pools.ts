import { Heap } from '../../common/heap.ts'
import type { DatabaseSeconds, PlatformAccount, TenantAccount } from './database-seconds.ts'

/** Milliseconds of waiting that make up for one of database time used beyond others. */
const WAIT_PER_USE = 4

/** The parts of a pool by which its place is decided. */
export interface Starving {
  account: TenantAccount
  seconds: DatabaseSeconds | undefined
  connections: { size: number }
}

/** The pools of one platform, in their order. */
interface Group<Pool> {
  account: PlatformAccount
  pools: Heap<Pool>
  /** The one that has used the least first. */
  byUse: Heap<Pool>
  /** Milliseconds by which all of them are put back. */
  debtMs: number
}

/**
 * Pools whose waiters need a permit. They get it in the order in which they came, each put back by
 * four times the database time that it and its platform have used more than others. So what all
 * have used becomes equal, and one that has used little more waits little longer. A pool that has got nothing
 * for `patienceMs` goes first, but never twice in a row, so that nothing starves and what is ordered
 * by use gets at least every second permit.
 */
export class StarvingPools<Pool extends Starving> {
  /** `performance.now()` since when each pool has got nothing, in this order. */
  readonly #since = new Map<Pool, number>()
  /** Time of each pool with what it is put back for its own use. */
  readonly #places = new Map<Pool, number>()
  readonly #groups = new Map<PlatformAccount, Group<Pool>>()
  readonly #order = new Heap<Group<Pool>>((a, b) => this.#placeOf(a) < this.#placeOf(b))
  /** The platform that has used the least first. */
  readonly #byUse = new Heap<Group<Pool>>((a, b) => a.account.used < b.account.used)
  /** Number of each pool in the order of arrival, which decides between equals. */
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
    this.#places.set(pool, now)
    this.#arrivals.set(pool, this.#arrived++)
    const { platform } = pool.account
    const known = this.#groups.get(platform)
    const group: Group<Pool> = known ?? {
      account: platform,
      pools: new Heap((a, b) => this.#goesBefore(a, b)),
      byUse: new Heap((a, b) => a.account.used < b.account.used),
      debtMs: 0,
    }
    group.pools.add(pool)
    group.byUse.add(pool)
    if (!known) {
      this.#groups.set(platform, group)
      this.#order.add(group)
      this.#byUse.add(group)
    }
    this.update(pool, now)
  }

  delete(pool: Pool): boolean {
    if (!this.#since.delete(pool)) return false
    this.#places.delete(pool)
    const group = this.#groups.get(pool.account.platform)!
    group.pools.delete(pool)
    group.byUse.delete(pool)
    if (group.pools.size > 0) this.#order.update(group)
    else {
      this.#groups.delete(group.account)
      this.#order.delete(group)
      this.#byUse.delete(group)
    }
    return true
  }

  /** Puts a pool, and the pools of its platform, where they belong after a charge. */
  update(pool: Pool, now: number): void {
    const { account, seconds } = pool
    const group = this.#groups.get(account.platform)
    if (!group) return
    const since = this.#since.get(pool)
    if (since !== undefined) {
      this.#places.set(pool, since + WAIT_PER_USE * (seconds?.tenantDebt(account, now) ?? 0))
      group.pools.update(pool)
      group.byUse.update(pool)
    }
    group.debtMs = WAIT_PER_USE * (seconds?.platformDebt(account.platform, now) ?? 0)
    this.#order.update(group)
    this.#byUse.update(group)
  }

  /** Returns the pool that gets the next permit. */
  next(now: number): Pool | undefined {
    return this.overdue(now) ?? this.#order.first?.pools.first
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

  /** Milliseconds of use for which the wait of a pool makes up; 0 for one that does not wait. */
  earnedMs(pool: Pool, now: number): number {
    return (now - (this.#since.get(pool) ?? now)) / WAIT_PER_USE
  }

  /** The platform that has used the least. */
  get leastPlatform(): PlatformAccount | undefined {
    return this.#byUse.first?.account
  }

  /** Returns the account of the pool of a platform that has used the least. */
  leastOf(platform: PlatformAccount): TenantAccount | undefined {
    return this.#groups.get(platform)?.byUse.first?.account
  }

  /** Returns the pool of a platform that comes next in order. */
  firstOf(platform: PlatformAccount): Pool | undefined {
    return this.#groups.get(platform)?.pools.first
  }

  #servedAt(pool: Pool, now: number): void {
    this.#since.delete(pool)
    this.#since.set(pool, now)
    this.update(pool, now)
  }

  #goesBefore(a: Pool, b: Pool): boolean {
    const [one, other] = [this.#places.get(a)!, this.#places.get(b)!]
    return one === other ? this.#arrivals.get(a)! < this.#arrivals.get(b)! : one < other
  }

  #placeOf({ pools, debtMs }: Group<Pool>): number {
    return this.#places.get(pools.first!)! + debtMs
  }
}
