import type { Budget } from './budget.ts'
import type { Pool } from './pool.ts'

/** What is needed of the connections that may be open. */
export interface Need {
  /** Connections that are open, with those that are being opened and closed. */
  held: number
  /** Those of them that are in use or being opened. */
  busy: number
  /** Further connections that those who wait would use. */
  wanted: number
}

/** Told of the process that PostgreSQL has for a session, when it has begun and when it has ended. */
export type OnSession = (pid: number, isOpen: boolean) => void

/** @param most connections to one database */
export function needOf({ all }: { all: Budget<Pool> }, most: number): Need {
  const { held } = all.permits
  let wanted = 0
  for (const { waiters, connections } of all.starving) {
    wanted += Math.max(0, Math.min(waiters.size, most - connections.size))
  }
  return {
    held,
    busy: held - all.idle.size - all.closing.size,
    wanted: Math.max(0, wanted - all.closing.size),
  }
}
