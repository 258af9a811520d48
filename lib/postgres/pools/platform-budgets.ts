import { Budget } from './budget.ts'
import type { Pool } from './pool.ts'

interface Limits {
  maxConnectionsPerPlatform: number
  poolWaitTimeoutMs: number
}

/** Budgets of the platforms beside that of all connections. */
export class PlatformBudgets {
  readonly #all: Budget<Pool>
  readonly #limits: Limits
  readonly #byPlatform = new Map<string, Budget<Pool>>()

  constructor(all: Budget<Pool>, limits: Limits) {
    this.#all = all
    this.#limits = limits
  }

  /** Returns the budgets in which the connections of a platform count, the narrowest first. */
  budgetsOf(platform: string | undefined): Budget<Pool>[] {
    const { maxConnectionsPerPlatform, poolWaitTimeoutMs } = this.#limits
    if (platform === undefined || maxConnectionsPerPlatform === Infinity) return [this.#all]
    let budget = this.#byPlatform.get(platform)
    if (!budget) {
      budget = new Budget(maxConnectionsPerPlatform, poolWaitTimeoutMs / 2, this.#all.choose)
      this.#byPlatform.set(platform, budget)
    }
    return [budget, this.#all]
  }
}
