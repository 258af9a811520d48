import type { Budget } from './budget.ts'
import type { Connection } from './connection.ts'
import type { Account } from './database-seconds.ts'
import { hasHadItsTurn, type Pool } from './pool.ts'
import type { StarvingPools } from './starving-pools.ts'

/**
 * Milliseconds of database time by which a database has to be behind before it gets a connection of
 * another one beside those that it has. Each change opens a connection, which costs more than most
 * calls.
 */
const SLACK_MS = 250

/** Charges the account of the database with the use of a connection up to now. */
export function charge(pool: Pool, connection: Connection, now: number): void {
  const { usedSince } = connection
  if (usedSince === undefined || !pool.seconds) return
  connection.usedSince = now
  pool.seconds.charge(pool.account, now - usedSince, now)
  for (const { starving } of pool.budgets) if (starving.size > 0) starving.update(pool, now)
}

/** Charges the last use of a connection whose lease has ended. */
export function endUse(pool: Pool, connection: Connection, now: number): void {
  charge(pool, connection, now)
  connection.usedSince = undefined
}

/** Counts a connection that was opened (1) or closed (-1). */
export function countOpen({ account }: Pool, by: 1 | -1): void {
  account.open += by
  account.platform.open += by
}

/** Adds the pool to those that wait for a permit of this budget. */
export function starve(pool: Pool, budget: Budget<Pool>): void {
  if (budget.starving.has(pool)) return
  const now = performance.now()
  pool.seconds?.raise(pool.account, now)
  budget.starving.add(pool, now)
}

/** Notes that the pool gets a connection: those that begin to wait are measured by it. */
export function noteServed(pool: Pool): void {
  const { account, budgets, seconds } = pool
  let tenant: Account | undefined
  for (const { starving } of budgets) {
    const least = starving.size > 0 ? starving.leastOf(account.platform) : undefined
    if (least && !(tenant && tenant.used < least.used)) tenant = least
  }
  seconds?.noteServed(account, tenant, budgets.at(-1)?.starving.leastPlatform)
}

/**
 * Returns whether to close a released connection so that another pool gets its permit, although
 * `pool` has waiters: its turn is over, and the other pool goes first.
 */
export function mustGiveWay(pool: Pool, connection: Connection, now: number): boolean {
  if (pool.waiters.size === 0 || !hasHadItsTurn(connection, now)) return false
  return pool.budgets.some((budget) => {
    const { starving } = budget
    if (starving.size === 0 || !budget.wantsMore) return false
    const next = starving.next(now)
    if (!next || next === pool) return false
    if (next === starving.overdue(now) || goesFirst(next, pool, starving, now)) return true
    const fellow = starving.firstOf(pool.account.platform)
    return fellow !== undefined && fellow !== pool && goesFirst(fellow, pool, starving, now)
  })
}

/**
 * Returns whether a waiting pool goes before one that has connections: it, or its platform if that
 * is another one, has used less, or its wait makes up for what it has used more. One that has
 * connections must have used less by SLACK_MS and have fewer.
 */
function goesFirst(waiting: Pool, pool: Pool, starving: StarvingPools<Pool>, now: number): boolean {
  const isFellow = waiting.account.platform === pool.account.platform
  const one = isFellow ? waiting.account : waiting.account.platform
  const other = isFellow ? pool.account : pool.account.platform
  const leadMs = pool.seconds?.lead(one, other, now) ?? 0
  return one.open === 0
    ? leadMs + starving.earnedMs(waiting, now) > 0
    : leadMs > SLACK_MS && one.open < other.open
}
