import type { Owner } from './names.ts'
import { describeOwner } from './owner-identity.ts'

/** Operation that needs a tenant's database without sessions. */
export type Operation = 'rename' | 'clone' | 'move'

/** The calls of a tenant do not run for the moment. */
export interface Hold {
  for: Operation
  /** Retry-After of the error that calls get, in seconds; null: calls wait. */
  retryAfterS: number | null
  /** `performance.now()` at which the hold lapses, unless its gateway extends it. */
  until: number
}

/** A hold as PostgreSQL reads it: the time that is left depends on PostgreSQL's clock alone. */
export type HoldRow = Omit<Hold, 'until'> & { leftMs: number }

/** Returns the hold of a row that was read now. */
export function holdOf(row: HoldRow | null): Hold | null {
  if (row === null) return null
  return { for: row.for, retryAfterS: row.retryAfterS, until: performance.now() + row.leftMs }
}

/** Returns whether the tenant's calls run. */
export function isActive(entry: { suspension: object | null; hold: Hold | null }): boolean {
  return entry.suspension === null && entry.hold === null
}

/** Says what holds the tenant, as in "… is being renamed". */
export function describeHold(owner: Owner, hold: Hold): string {
  return `${describeOwner(owner)} is being ${PARTICIPLES[hold.for]}`
}

const PARTICIPLES = {
  rename: 'renamed',
  clone: 'copied',
  move: 'moved to another server',
} as const
