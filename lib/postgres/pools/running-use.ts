import type { Budget } from './budget.ts'
import type { Pool } from './pool.ts'
import { charge } from './turns.ts'

/** Interval in milliseconds at which running calls are charged. */
const CHARGE_EVERY_MS = 100

interface Running {
  readonly all: Budget<Pool>
  readonly pools: Map<string, Pool>
  readonly isEnded: boolean
}

/**
 * Charges calls that run for long while others wait, so that a database does not get ahead by calls
 * that have not ended yet. Costs nothing while nobody waits.
 */
export class RunningUse {
  readonly #supply: Running
  #timer: NodeJS.Timeout | undefined

  constructor(supply: Running) {
    this.#supply = supply
  }

  /** Begins to charge running calls, until nobody waits for a permit. */
  watch(): void {
    this.#timer ??= setInterval(() => this.#chargeAll(), CHARGE_EVERY_MS).unref()
  }

  #chargeAll(): void {
    const { all, pools, isEnded } = this.#supply
    const now = performance.now()
    let isContended = false
    for (const pool of pools.values()) {
      isContended ||= pool.budgets.some(({ starving }) => starving.size > 0)
      for (const connection of pool.connections) {
        if (!all.opening.has(connection)) charge(pool, connection, now)
      }
    }
    if (isContended && !isEnded) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
