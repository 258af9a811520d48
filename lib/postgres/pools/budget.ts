import type { Connection } from './connection.ts'
import { Semaphore } from './semaphore.ts'

/** At least so many connections may be closed and opened at once. */
const MIN_SWITCHING = 4

/** What takes longer to open waits for something else, such as a lock on its database. */
export const SLOW_OPENING_MS = 500

/** A pool, as far as a budget is concerned. */
interface Needy {
  connections: { size: number }
  waiters: { size: number }
}

/**
 * Connections that are counted together, whatever their database: all of them, or those of one
 * platform. Who of those that share it has to wait, and what gives way, is known here.
 */
export class Budget<Pool extends Needy> {
  readonly permits: Semaphore
  /** The longest idle first. */
  readonly idle = new Set<Connection>()
  /** Those that are being closed, whose permits come back soon. */
  readonly closing = new Set<Connection>()
  /** Those that are being opened. */
  readonly opening = new Set<Connection>()
  /** Pools whose waiters need one more permit, in the order in which they began to. */
  readonly starving = new Set<Pool>()
  /** Set while what is being opened is given time. */
  retry: NodeJS.Timeout | undefined

  constructor(capacity: number) {
    this.permits = new Semaphore(capacity)
  }

  get hasCapacity(): boolean {
    return this.permits.held < this.permits.capacity
  }

  /** More are open than there may be, those aside that are being closed. */
  get isOverdrawn(): boolean {
    return this.permits.held - this.closing.size > this.permits.capacity
  }

  /**
   * Whether a connection may be closed for the sake of another one. Only a part of all are in
   * change at a time: opening is work for the server's processors, so that more at once are not
   * faster, and what stays open meanwhile serves the databases that are in use.
   */
  get #maySwitch(): boolean {
    const most = Math.max(MIN_SWITCHING, this.permits.capacity >> 2)
    let switching = this.closing.size
    if (switching + this.opening.size < most) return true
    const slowSince = performance.now() - SLOW_OPENING_MS
    for (const { busySince } of this.opening) if (busySince > slowSince) switching++
    return switching < most
  }

  /** Whether a connection has to go for those who wait; not while enough are on their way. */
  get wantsMore(): boolean {
    if (!this.#maySwitch) return false
    let coming = this.closing.size
    for (const pool of this.starving) {
      coming -= pool.waiters.size
      if (coming < 0) return true
    }
    return false
  }

  /** The one that goes, of those that nobody uses. */
  get victim(): Connection | undefined {
    if (this.starving.size === 0 || this.idle.size === 0 || !this.wantsMore) return undefined
    return first(this.idle)
  }

  /** Who is next: of the pools that wait for a permit, the first of those with fewest connections. */
  neediest(except?: Pool): Pool | undefined {
    let neediest: Pool | undefined
    for (const pool of this.starving) {
      if (pool === except) continue
      if (pool.connections.size === 0) return pool
      if (!neediest || pool.connections.size < neediest.connections.size) neediest = pool
    }
    return neediest
  }
}

function first<T>(set: Set<T>): T | undefined {
  for (const value of set) return value
  return undefined
}
