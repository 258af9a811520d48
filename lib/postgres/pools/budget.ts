import type { Connection } from './connection.ts'
import { Semaphore } from './semaphore.ts'
import { type Starving, StarvingPools } from './starving-pools.ts'

/** Minimum number of connections that may be closing or opening at once. */
const MIN_SWITCHING = 4

/** Milliseconds. A connection that opens more slowly waits, such as for a lock on its database. */
export const SLOW_OPENING_MS = 500

/** The parts of a pool that a budget reads. */
interface Needy extends Starving {
  waiters: { size: number }
}

/**
 * A limit on open connections across databases: on all of them, or on those of one platform.
 * Decides which idle connection is closed for the next pool.
 */
export class Budget<Pool extends Needy> {
  readonly permits: Semaphore
  /** Idle connections, the one that has been idle longest first. */
  readonly idle = new Set<Connection>()
  /** Connections that are being closed; they still hold their permits. */
  readonly closing = new Set<Connection>()
  /** Connections that are being opened. */
  readonly opening = new Set<Connection>()
  /** Pools whose waiters need a permit. */
  readonly starving: StarvingPools<Pool>
  /** Timer of the next eviction; set while slow connections are being opened. */
  retry: NodeJS.Timeout | undefined
  readonly choose: (idle: ReadonlySet<Connection>) => Connection | undefined

  /**
   * @param patienceMs after which a pool that has got nothing goes first
   * @param choose returns the idle connection to close next
   */
  constructor(
    capacity: number,
    patienceMs: number,
    choose: (idle: ReadonlySet<Connection>) => Connection | undefined,
  ) {
    this.permits = new Semaphore(capacity)
    this.starving = new StarvingPools(patienceMs)
    this.choose = choose
  }

  get hasCapacity(): boolean {
    return this.permits.held < this.permits.capacity
  }

  /** Whether more connections are open than the capacity allows, apart from those being closed. */
  get isOverdrawn(): boolean {
    return this.permits.held - this.closing.size > this.permits.capacity
  }

  /**
   * Whether another connection may be closed to free its permit. At most an eighth of the
   * connections, and at least MIN_SWITCHING, are closing or opening at once; slow openings do not
   * count. Opening takes the server's CPU, so more at once are not faster, and the others go on
   * serving their databases.
   */
  get #maySwitch(): boolean {
    const most = Math.max(MIN_SWITCHING, this.permits.capacity >> 3)
    let switching = this.closing.size
    if (switching + this.opening.size < most) return true
    const slowSince = performance.now() - SLOW_OPENING_MS
    for (const { busySince } of this.opening) if (busySince > slowSince) switching++
    return switching < most
  }

  /** Whether a connection must be closed for waiters: those being closed are too few for them. */
  get wantsMore(): boolean {
    if (!this.#maySwitch) return false
    let coming = this.closing.size
    for (const pool of this.starving) {
      coming -= pool.waiters.size
      if (coming < 0) return true
    }
    return false
  }

  /** The idle connection to close next; undefined if none is to be closed. */
  get victim(): Connection | undefined {
    if (this.starving.size === 0 || this.idle.size === 0 || !this.wantsMore) return undefined
    return this.leastWanted
  }

  /** The idle connection that is wanted least; undefined if none is idle. */
  get leastWanted(): Connection | undefined {
    return this.choose(this.idle)
  }
}
