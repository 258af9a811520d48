/** Milliseconds after which half of a use is forgotten. */
export const HALF_LIFE_MS = 10_000

/** Half-lives after which the values are scaled down, long before they exceed a double. */
const MAX_HALF_LIVES = 500

/** Milliseconds of lately used time below which an account is as good as none. */
const NEGLIGIBLE_MS = 1

/** Database time that a tenant or a platform has used lately. */
export interface Account {
  /**
   * Milliseconds, weighted: what was used later weighs more, instead of what was used earlier less.
   * So the order of two accounts changes only when one of them is charged.
   */
  used: number
  /** Open connections. */
  open: number
}

export interface PlatformAccount extends Account {
  /** Least that a tenant of the platform counts as having used when it begins to wait. */
  floor: number
}

/** Account of a database. */
export interface TenantAccount extends Account {
  readonly platform: PlatformAccount
}

/**
 * Accounts of database time, by database and by platform: the time for which connections were in
 * use, half of which is forgotten every 10 s. Time that was left unused is not saved up: an account
 * whose database begins to wait is raised to those that are being served (`floor`).
 */
export class DatabaseSeconds {
  readonly #tenants = new Map<string, TenantAccount>()
  readonly #platforms = new Map<string | undefined, PlatformAccount>()
  /** Least that a platform counts as having used when one of its databases begins to wait. */
  #floor = 0
  #epoch = performance.now()

  /** Returns the account of a database; creates it if there is none. */
  of(database: string, platform: string | undefined): TenantAccount {
    const ofPlatform = this.#ofPlatform(platform)
    const known = this.#tenants.get(database)
    if (known?.platform === ofPlatform) return known
    const account = { used: 0, open: 0, platform: ofPlatform }
    this.#tenants.set(database, account)
    return account
  }

  #ofPlatform(name: string | undefined): PlatformAccount {
    let account = this.#platforms.get(name)
    if (!account) {
      account = { used: 0, open: 0, floor: 0 }
      this.#platforms.set(name, account)
    }
    return account
  }

  /** Adds milliseconds of use that ended at `now`. */
  charge(account: TenantAccount, ms: number, now: number): void {
    const weighted = ms * this.#weight(now)
    account.used += weighted
    account.platform.used += weighted
  }

  /** Raises the account of a database that begins to wait. */
  raise(account: TenantAccount, now: number): void {
    // Scales first where it is due.
    this.#weight(now)
    const { platform } = account
    account.used = Math.max(account.used, platform.floor)
    platform.used = Math.max(platform.used, this.#floor)
  }

  /**
   * Notes that a database gets a connection while these accounts wait: those with the least use,
   * among the tenants of its platform and among the platforms.
   */
  noteServed(
    { used, platform }: TenantAccount,
    tenant: Account | undefined,
    waitingPlatform: Account | undefined,
  ): void {
    platform.floor = Math.max(platform.floor, Math.min(used, tenant?.used ?? used))
    const ofPlatform = Math.min(platform.used, waitingPlatform?.used ?? platform.used)
    this.#floor = Math.max(this.#floor, ofPlatform)
  }

  /** Milliseconds that a database has used more than its fellows that are being served. */
  tenantDebt({ used, platform }: TenantAccount, now: number): number {
    return Math.max(0, used - platform.floor) / this.#weight(now)
  }

  /** Milliseconds that a platform has used more than the others that are being served. */
  platformDebt({ used }: PlatformAccount, now: number): number {
    return Math.max(0, used - this.#floor) / this.#weight(now)
  }

  /** Milliseconds that `one` has used less than `other` lately; negative if it has used more. */
  lead(one: Account, other: Account, now: number): number {
    return (other.used - one.used) / this.#weight(now)
  }

  /** Drops the accounts of databases without connections that have used next to nothing lately. */
  sweep(isInUse: (database: string) => boolean, now: number): void {
    const negligible = NEGLIGIBLE_MS * this.#weight(now)
    for (const [database, account] of this.#tenants) {
      if (account.used < negligible && !isInUse(database)) this.#tenants.delete(database)
    }
  }

  get size(): number {
    return this.#tenants.size
  }

  #weight(now: number): number {
    const halfLives = (now - this.#epoch) / HALF_LIFE_MS
    if (halfLives <= MAX_HALF_LIVES) return 2 ** halfLives
    this.#scale(2 ** -Math.min(halfLives, 1000))
    this.#epoch = now
    return 1
  }

  #scale(by: number): void {
    this.#floor *= by
    for (const account of this.#tenants.values()) account.used *= by
    for (const account of this.#platforms.values()) {
      account.used *= by
      account.floor *= by
    }
  }
}
