import { Recent } from '../../common/recent.ts'
import type { LedgerChanges } from '../ledger/writer.ts'
import type { DeployResult } from '../result.ts'

/** What a deploy did to a database: what databases in the same state get as well. */
export interface Replay {
  /** Statements in the order in which they ran. */
  statements: string[]
  /** `content` of the state after the deploy: see `STATE`. */
  content: string
  /** Print of the catalogs after the deploy: see `Look`. */
  print: string
  /** Changes to the ledger. */
  changes: LedgerChanges
  result: DeployResult
  /**
   * Whether a replay has left the same print. The deploy that is repeated may have had a change by
   * hand beside it, which `print` has and `content` need not have.
   */
  isProven: boolean
  /** Settles, without an error, when a replay has compared the print, or failed before. */
  proving?: Promise<unknown> | undefined
}

/** Limit of the cache, in characters; most are those of function bodies. */
const MAX_KEPT = 16 * 1024 * 1024
const MAX_SCOPES = 100

const replays = new Recent<Replay>(MAX_KEPT)
const scopes = new Recent<true>(MAX_SCOPES)

/**
 * Remembers what a deploy did.
 * @param scope the archive, and all of the request that a deploy's decisions come from
 * @param state the state of the database before: see `stateKey`
 */
export function keepReplay(scope: string, state: string, replay: Replay): void {
  const { statements, changes, result } = replay
  const size = statements.join('').length + JSON.stringify([changes, result]).length
  replays.set(`${scope} ${state}`, replay, size)
  scopes.set(scope, true, 1)
}

/** Returns what a deploy with this scope did to a database in this state. */
export function findReplay(scope: string, state: string): Replay | undefined {
  return replays.get(`${scope} ${state}`)
}

/** Returns whether a deploy with this scope is remembered, so that a look at the state is worth it. */
export function mayReplay(scope: string): boolean {
  return scopes.get(scope) ?? false
}
